"""The names of what an exported detector takes and returns."""

INPUT = "images"  # uint8 [B, H, W, 3], red, green and blue
AXES = dict(enumerate(("batch", "height", "width")))  # the sizes of the input that are free
OUTPUTS = ("anomaly_score", "abnormal")  # float32 [B] and bool [B]
