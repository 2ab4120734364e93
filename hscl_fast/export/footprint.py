"""The memory that scoring takes: the peak of a process of its own, which loads the model and scores one batch.

It is run as ``python -m hscl_fast.export.footprint KIND IMAGES.npy THREADS MODEL...``, and imports no more than the
model's runtime for one that was exported.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hscl_fast.data.types import Images


def peak_memory(images: Images, kind: str, arguments: Sequence[str | Path], threads: int) -> int | None:
    """Return the peak memory in bytes of a process that scores a batch, or None if it cannot be measured.

    Parameters
    ----------
    images
        The batch, uint8 ``[B, H, W, 3]``.
    kind, arguments
        ``run`` with a run directory and perhaps the name of an evaluation, or ``.onnx`` or ``.pt2`` with the file.
    threads
        The number of threads.
    """
    with tempfile.TemporaryDirectory() as folder:
        batch = Path(folder) / "images.npy"
        np.save(batch, images)
        command = [sys.executable, "-m", __name__, kind, batch, str(threads), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else None


def _main(kind: str, file: str, threads: str, *arguments: str) -> None:
    images = np.load(file)
    if kind == "run":
        _score_with_run(Path(arguments[0]), next(iter(arguments[1:]), None), int(threads), images)
    elif kind == ".onnx":
        from hscl_fast.export.onnx_model import OnnxModel  # imported here, since each process needs one of them

        OnnxModel(Path(arguments[0]), int(threads))(images)
    else:
        from hscl_fast.export.torch_export import TorchProgram

        TorchProgram(Path(arguments[0]), int(threads))(images)
    print(_peak())


def _peak() -> int:
    """Return the most memory that this process has held; getrusage would count what its parent held before."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _score_with_run(path: Path, evaluation: str | None, threads: int, images: Images) -> None:
    import torch

    from hscl_fast.export.reference import Reference
    from hscl_fast.runs.directory import RunDirectory

    torch.set_num_threads(threads)
    directory = RunDirectory(path)
    Reference.load(directory, directory.load_config(), evaluation)(images)


if __name__ == "__main__":
    _main(*sys.argv[1:])
