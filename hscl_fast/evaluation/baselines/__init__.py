"""Simple detectors that every run is compared with, on pixels and on the features of its pretrained encoder."""
