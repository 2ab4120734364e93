"""hscl-fast trains image anomaly detectors on contaminated data with one contrastive objective."""

__version__ = "0.1.0"
