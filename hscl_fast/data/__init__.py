"""From image files to a split with roles (``open.py``), and from a split to batches (``loaders/``)."""
