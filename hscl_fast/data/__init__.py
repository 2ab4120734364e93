"""Images in, roles out. ``open.py`` is the door to a split, ``loaders/`` make batches of it."""
