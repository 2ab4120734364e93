"""Scores with an ONNX model; nothing but its runtime is imported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hscl_fast.export.signature import INPUT, OUTPUTS


class OnnxModel:
    """An ONNX model in ``onnxruntime``, on the CPU.

    Parameters
    ----------
    path
        The file.
    threads
        The number of threads.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return anomaly scores and decisions of images uint8 ``[B, H, W, 3]``."""
        scores, abnormal = self._session.run(list(OUTPUTS), {INPUT: images})
        return scores, abnormal
