"""A trained run as one file that scores images without hscl-fast: ONNX, or a program of torch.export."""
