"""The training loop, and what one step of it is. Knows no run directory and no console."""
