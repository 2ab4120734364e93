"""``hscl doctor``: checks each part of the machine by using it, and estimates the cost of a configuration."""
