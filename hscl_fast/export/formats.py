"""The kinds of files by their suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.export import ExportedProgram

from hscl_fast.export.onnx import to_onnx
from hscl_fast.export.torch_export import TorchProgram, to_program


class Model(Protocol):
    """An exported detector, loaded from its file."""

    def __call__(self, images: NDArray[np.uint8], /) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return anomaly scores and decisions of images uint8 ``[B, H, W, 3]``."""


class Format(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    runtime
        What scores with it.
    packages
        What has to be installed to write it, beside what hscl-fast needs.
    content, load
        Make a file, and load one to score with a number of threads.
    """

    runtime: str
    packages: tuple[str, ...]
    content: Callable[[ExportedProgram, Mapping[str, str]], bytes]
    load: Callable[[Path, int], Model]


def _load_onnx(path: Path, threads: int) -> Model:
    from hscl_fast.export.onnx_model import OnnxModel  # imported here, since its package is an extra

    return OnnxModel(path, threads)


FORMATS = {
    ".onnx": Format("onnxruntime", ("onnx", "onnxscript", "onnxruntime"), to_onnx, _load_onnx),
    ".pt2": Format("torch.export", (), to_program, TorchProgram),
}
