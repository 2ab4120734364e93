"""Normality scores of images (higher = more normal): one class and one line in ``registry.py`` per score."""
