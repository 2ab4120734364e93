"""Batches of a split's training images. All loaders give the same batches in the same order."""
