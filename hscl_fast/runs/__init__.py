"""Runs: training, evaluation and prediction, from a configuration to a run directory and a typed summary."""
