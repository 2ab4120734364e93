"""The report of a run: one HTML file that needs nothing else, not even a network."""
