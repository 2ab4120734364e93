"""How many hidden anomalies are found by looking at the first images of a ranking."""
