"""The public data sets: one file each, one line each in ``registry.py``."""
