"""The random parameters of views."""
