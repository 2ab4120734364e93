"""Other detectors for the same split, one file a method, on shared blocks."""
