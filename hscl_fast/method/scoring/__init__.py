"""Normality scores of images, higher = more normal: one class each, one line each in ``registry.py``."""
