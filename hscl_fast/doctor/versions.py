"""Reads the versions of the software and the properties of the devices."""

from __future__ import annotations

import os
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from hscl_kernels.backends import INTERPRETED
from hscl_kernels.contrast import cpu_native
from hscl_kernels.selfcheck import describe_card, tuned_error

from hscl_fast.data.loaders.memory import free_memory
from hscl_fast.device import resolve_precision
from hscl_fast.doctor.outcome import Outcome, reason_of
from hscl_fast.runs.environment import environment

_OPTIONAL = ("triton", "ffcv", "numba")
_NOT_VERSIONS = ("threads", "devices", "cuda")


def read_versions() -> dict[str, str | None]:
    """Return versions by name, None for packages that are not installed."""
    known = {name: value for name, value in environment().items() if name not in _NOT_VERSIONS}
    cudnn = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    return {
        **known,
        **{name: _version(name) for name in _OPTIONAL},
        "CUDA (of torch)": torch.version.cuda,
        "ROCm (of torch)": torch.version.hip,
        "cuDNN": None if cudnn is None else str(cudnn),
    }


def read_cpu() -> dict[str, Any]:
    """Return the CPU's cores, threads, vector instructions, precision, free memory in bytes, and why not C++."""
    cpu = torch.device("cpu")
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": bool(torch.cpu.get_capabilities().get("avx512_bf16")),
        "precision": str(resolve_precision("auto", cpu)).removeprefix("torch."),
        "free": free_memory(cpu),
        "no_native_objective": cpu_native.why_not(),
    }


def read_cards() -> list[dict[str, Any]]:
    """Return the properties of every GPU that torch finds, or the ``error`` of one that does not answer."""
    cards: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        try:
            precision = str(resolve_precision("auto", device)).removeprefix("torch.")
            cards.append({"index": index, **asdict(describe_card(device)), "precision": precision})
        except Exception as error:  # from the driver
            cards.append({"index": index, "error": reason_of(error)})
    return cards


def check_settings(device: torch.device) -> list[Outcome]:
    """Return the settings that would make kernels fail or prove nothing."""
    outcomes = []
    on_gpu = device.type == "cuda"
    if broken := tuned_error():
        # Only Triton reads the file; on a GPU every launch would fail because of it.
        outcomes.append(Outcome("tuned tiles", "FAIL" if on_gpu else "warning", broken, "Delete that file."))
    if INTERPRETED and on_gpu:
        what = "TRITON_INTERPRET=1 is set, so the Triton kernels are interpreted, not compiled, which proves nothing"
        outcomes.append(Outcome("Triton", "FAIL", what, "Unset TRITON_INTERPRET and run hscl doctor again."))
    if on_gpu and _version("triton") is None:
        what = "Triton is not installed, so training uses the slow reference forms"
        outcomes.append(Outcome("Triton", "FAIL", what, "Install it: pip install triton."))
    return outcomes


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
