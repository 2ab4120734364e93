"""Checks of the inputs of the operations; every error shows the values that are wrong."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Beyond these, exp(s / tau) leaves the range of float32, or differs from 1 by less than a 16-bit number can hold.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-4, 1e4
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)
ROLES = "+1 (labelled normal), 0 (unlabelled), -1 (labelled abnormal) or 2 (sample-to-sample term only)"


def check_matrix(name: str, matrix: Tensor, backend: str) -> None:
    """Require a non-empty floating ``[rows, D]``; on Triton float16, bfloat16 or float32 with D up to 256."""
    if matrix.dim() != 2 or 0 in matrix.shape:
        raise ValueError(f"{name} has shape {_shape(matrix)}, expected [rows, features] with at least one of each")
    if matrix.dtype not in FLOATS:
        raise TypeError(f"{name} has dtype {matrix.dtype}, expected float16, bfloat16, float32 or float64")
    if backend == "triton" and matrix.dtype == torch.float64:
        raise TypeError(f"{name} has dtype torch.float64, which backend 'triton' lacks: use 'reference' or 'cpu'")
    if backend == "triton" and matrix.shape[1] > 256:
        raise ValueError(f"{name} has {matrix.shape[1]} features, backend 'triton' takes up to 256: use 'reference'")


def check_rows(name: str, values: Tensor, embeddings: Tensor) -> None:
    """Require an integer tensor ``[N]`` on the device of ``embeddings [N, D]``."""
    if values.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{name} has shape {_shape(values)}, expected [{len(embeddings)}]: one for every row of embeddings "
            f"{_shape(embeddings)}"
        )
    if values.dtype not in INTEGERS:
        raise TypeError(f"{name} has dtype {values.dtype}, expected int8, int16, int32 or int64")
    check_device(name, values, embeddings)


def check_prototypes(prototypes: Tensor, embeddings: Tensor, backend: str) -> None:
    """Require ``[K, D]`` that fits ``embeddings [N, D]``; K up to 256 on Triton."""
    check_matrix("prototypes", prototypes, backend)
    if prototypes.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"prototypes have shape {_shape(prototypes)}, embeddings {_shape(embeddings)}: both need the same number "
            "of features"
        )
    if backend == "triton" and prototypes.shape[0] > 256:
        raise ValueError(f"there are {len(prototypes)} prototypes, backend 'triton' takes up to 256: use 'reference'")
    check_device("prototypes", prototypes, embeddings)


def check_device(name: str, values: Tensor, embeddings: Tensor) -> None:
    """Require the device of ``embeddings``."""
    if values.device != embeddings.device:
        raise ValueError(f"{name} is on {values.device}, embeddings are on {embeddings.device}: move one of them")


def check_temperature(temperature: float) -> None:
    """Require tau in [1e-4, 1e4]."""
    if not LOWEST_TEMPERATURE <= temperature <= HIGHEST_TEMPERATURE:
        raise ValueError(
            f"temperature is {temperature}, expected a number from {LOWEST_TEMPERATURE:g} to {HIGHEST_TEMPERATURE:g}"
        )


def check_finite(name: str, value: float, *, lowest: float = -math.inf) -> None:
    """Require a finite number, of at least ``lowest``."""
    if not (math.isfinite(value) and value >= lowest):
        expected = "a finite number" if lowest == -math.inf else f"a finite number, {lowest:g} or more"
        raise ValueError(f"{name} is {value}, expected {expected}")


def check_role_values(roles: Tensor) -> None:
    """Require roles in {+1, 0, -1, 2}. It reads the values, so it is for the CPU only: on a GPU it would wait."""
    wrong = roles[(roles < -1) | (roles > 2)]
    if len(wrong):
        raise ValueError(f"roles holds {wrong[:5].unique().tolist()}, expected only {ROLES}")


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)
