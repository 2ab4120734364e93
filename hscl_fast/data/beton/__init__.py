"""FFCV's ``.beton`` files: their layout, their writer, and a reader that trusts nothing in them."""
