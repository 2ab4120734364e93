"""The user's own images: a folder, a CSV or an NPZ file, and their labels."""
