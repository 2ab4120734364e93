"""``hscl doctor``: each part of the machine used once for real, and what a configuration costs on it."""
