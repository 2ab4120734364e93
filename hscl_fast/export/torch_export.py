"""Writes a detector as a program of ``torch.export``, and scores with one."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram


def to_program(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """Return a detector as one ``.pt2`` file.

    Parameters
    ----------
    program
        The graph, see :func:`hscl_fast.export.graph.trace`.
    metadata
        What is said of the model, each in an extra file of its name.
    """
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(metadata))
    return buffer.getvalue()


class TorchProgram:
    """A program of ``torch.export``, on the CPU.

    Parameters
    ----------
    path
        The file.
    threads
        The number of threads.
    """

    def __init__(self, path: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self._module = torch.export.load(io.BytesIO(path.read_bytes())).module()

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return anomaly scores and decisions of images uint8 ``[B, H, W, 3]``."""
        scores, abnormal = self._module(torch.from_numpy(images))
        return scores.numpy(), abnormal.numpy()
