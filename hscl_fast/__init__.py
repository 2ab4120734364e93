"""hscl-fast: anomaly detectors from contaminated images, one contrastive sweep, no fine-tuning."""

__version__ = "0.1.0"
