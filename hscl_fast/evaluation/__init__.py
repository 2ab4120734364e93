"""Evaluation of scores: metrics, threshold, comparison with classic detectors, report."""
