"""Who plays which role, and ``split.json``, which records it."""
