"""The training loop and its step. Nothing here depends on a run directory or a console."""
