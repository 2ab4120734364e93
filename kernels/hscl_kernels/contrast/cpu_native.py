"""InfoNCE and the HSCL objective on the CPU in C++: ``native/``, which ``setup.py`` compiles where it finds a compiler.

The library is loaded with ctypes and knows nothing of torch, so it fits every version of it. It computes what
:mod:`hscl_kernels.contrast.cpu` does, its oracle, which takes over where there is no library, on several ranks, and at
temperatures that need log sums. Whatever the number of threads, results have the same bits.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hscl_kernels import checks
from hscl_kernels.contrast.temperature import is_online, unit_scale
from hscl_kernels.prototypes.cpu import finite_in
from hscl_kernels.prototypes.rows import compute_dtype

TILE = 240  # rows; a float32 tile is 225 KB, well within a core's second-level cache
MOST_KEPT = 2048  # rows whose exponentials are kept for the backward, up to 10 MB
_SMALLEST_TILE = 64
_INSTRUCTIONS = {"AVX2": 1, "AVX512": 2}  # by torch's name, which ATEN_CPU_CAPABILITY sets; all others 0
_TERMS = ("total", "sample_to_sample", "sample_to_prototype", "normal_to_abnormal")
_NAMES = {torch.float32: "float", torch.float64: "double"}
_OK, _UNKNOWN_ROLE, _OUT_OF_MEMORY = range(3)


class _Batch(ctypes.Structure):
    """``HsclBatch`` of native/objective.cpp."""

    _fields_ = (
        *[(name, ctypes.c_int64) for name in ("instructions", "threads", "tile")],
        *[(name, ctypes.c_int64) for name in ("rows", "features", "prototype_count")],
        *[(name, ctypes.c_double) for name in ("scale", "lambda_prototype", "lambda_abnormal", "weight_threshold")],
        *[(name, ctypes.c_void_p) for name in ("embeddings", "prototypes", "ids", "roles", "uniforms")],
        *[(name, ctypes.c_void_p) for name in ("losses", "weights", "units", "lengths", "index", "row_state")],
        *[(name, ctypes.c_void_p) for name in ("kept", "row_gradients", *_TERMS, "by_embeddings", "by_prototypes")],
    )


@functools.cache
def why_not() -> str | None:
    """Return why the library cannot be used here; None if it can."""
    try:
        _library()
    except (ImportError, OSError) as error:
        return str(error)
    return None


def is_used(backend: str, temperature: float) -> bool:
    """Return whether a form of the contrastive losses is the one of this module."""
    return backend == "cpu" and not is_online(temperature) and why_not() is None


def kept_size(rows: Any, backend: str, temperature: float, dtype: torch.dtype) -> Any:
    """Return how many exponentials the forward keeps for the backward, computing in ``dtype``.

    ``rows`` and the result may be symbolic. Nothing compares it: torch.compile would compile again for the other
    outcome.
    """
    if not is_used(backend, temperature):
        return 0
    few = torch.sym_max(0, torch.sym_min(1, MOST_KEPT + 1 - rows))
    padded, tile = _whole_panels(rows, dtype), _tile(rows, dtype)
    others = (padded + tile - 1) // tile - 1  # blocks but the last
    on_the_diagonal = others * tile**2 + (padded - others * tile) ** 2
    return few * ((padded**2 + on_the_diagonal) // 2)


def info_nce_forward(
    embeddings: Tensor, instance_ids: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return what :func:`hscl_kernels.contrast.cpu.info_nce_forward` does, and the exponentials that are kept."""
    z = embeddings.to(compute_dtype(embeddings.dtype)).contiguous()
    rows = len(z)
    losses, units, lengths, row_state = z.new_empty(rows), torch.empty_like(z), z.new_empty(rows), z.new_empty(6, rows)
    kept = z.new_empty(kept_size(rows, "cpu", temperature, z.dtype))
    _call(
        "forward",
        z,
        temperature,
        embeddings=z,
        ids=instance_ids.long().contiguous(),
        losses=losses,
        units=units,
        lengths=lengths,
        row_state=row_state,
        kept=kept,
    )
    return losses, units, lengths, row_state, kept


def info_nce_backward(
    gradients: Tensor,
    instance_ids: Tensor,
    units: Tensor,
    lengths: Tensor,
    row_state: Tensor,
    kept: Tensor,
    temperature: float,
    dtype: torch.dtype,
) -> Tensor:
    """Return dL/dz ``[N, D]`` in ``dtype`` for the gradients ``[N]`` of the rows' losses."""
    by_embeddings = torch.empty_like(units)
    _call(
        "backward",
        units,
        temperature,
        ids=instance_ids.long().contiguous(),
        units=units,
        lengths=lengths,
        row_state=row_state,
        kept=kept,
        row_gradients=gradients.contiguous(),
        by_embeddings=by_embeddings,
    )
    return finite_in(dtype, by_embeddings, lengths).to(dtype)


def hscl_forward(
    embeddings: Tensor,
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    uniforms: Tensor | None,
    temperature: float,
    lambda_prototype: float,
    lambda_abnormal: float,
    weight_threshold: float,
) -> tuple[Tensor, ...]:
    """Return what :func:`hscl_kernels.contrast.cpu.hscl_forward` does, and the exponentials that are kept."""
    z = embeddings.to(compute_dtype(embeddings.dtype)).contiguous()
    rows = len(z)
    total, ss, sp, na = (z.new_empty(()) for _ in range(4))
    weights, lengths = z.new_empty(rows), z.new_empty(rows)
    units, row_state = torch.empty_like(z), z.new_empty(6, rows)
    index = torch.empty(rows, dtype=torch.int64)
    kept = z.new_empty(kept_size(rows, "cpu", temperature, z.dtype))
    status = _call(
        "forward",
        z,
        temperature,
        prototypes=prototypes.to(z.dtype).contiguous(),
        embeddings=z,
        ids=instance_ids.long().contiguous(),
        roles=roles.long().contiguous(),
        uniforms=None if uniforms is None else uniforms.contiguous(),
        total=total,
        sample_to_sample=ss,
        sample_to_prototype=sp,
        normal_to_abnormal=na,
        weights=weights,
        units=units,
        lengths=lengths,
        index=index,
        row_state=row_state,
        kept=kept,
        numbers={
            "lambda_prototype": lambda_prototype,
            "lambda_abnormal": lambda_abnormal,
            "weight_threshold": weight_threshold,
        },
    )
    if status == _UNKNOWN_ROLE:
        checks.check_role_values(roles)
    return total, ss, sp, na, weights, units, lengths, index, row_state, z.new_zeros(()), kept


def hscl_backward(
    gradients: tuple[Tensor | None, ...],
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    units: Tensor,
    lengths: Tensor,
    index: Tensor,
    row_state: Tensor,
    kept: Tensor,
    temperature: float,
    lambda_prototype: float,
    lambda_abnormal: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return dL/dz ``[N, D]`` in ``dtype`` and dL/dV ``[K, D]`` for the gradients of the total and its terms."""
    total, ss, sp, na = gradients
    v = prototypes.to(units.dtype).contiguous()
    by_embeddings, by_prototypes = torch.empty_like(units), torch.empty_like(v)
    _call(
        "backward",
        units,
        temperature,
        prototypes=v,
        ids=instance_ids.long().contiguous(),
        roles=roles.long().contiguous(),
        units=units,
        lengths=lengths,
        index=index,
        row_state=row_state,
        kept=kept,
        total=total,
        sample_to_sample=ss,
        sample_to_prototype=sp,
        normal_to_abnormal=na,
        by_embeddings=by_embeddings,
        by_prototypes=by_prototypes,
        numbers={"lambda_prototype": lambda_prototype, "lambda_abnormal": lambda_abnormal},
    )
    return finite_in(dtype, by_embeddings, lengths).to(dtype), by_prototypes.to(prototypes.dtype)


def sources_hash(folder: Path) -> str:
    """Return the SHA-256 of the C++ sources in a folder; ``setup.py`` compiles it into the library."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".cpp", ".h", ".inc"):
            found.update(path.read_bytes())
    return found.hexdigest()


def _call(
    direction: str,
    like: Tensor,
    temperature: float,
    *,
    prototypes: Tensor | None = None,
    numbers: dict[str, float] | None = None,
    **tensors: Tensor | None,
) -> int:
    """Call the library in the dtype of ``like [N, D]``; return its status, after an error where memory ran out."""
    rows, features = like.shape
    batch = _Batch(
        instructions=instructions(),
        threads=torch.get_num_threads(),
        tile=_tile(rows, like.dtype),
        rows=rows,
        features=features,
        prototype_count=0 if prototypes is None else len(prototypes),
        scale=unit_scale(temperature),
        prototypes=_address(prototypes),
        **{name: _address(tensor) for name, tensor in tensors.items()},
        **(numbers or {}),
    )
    status: int = getattr(_library(), f"hscl_{direction}_{_NAMES[like.dtype]}")(ctypes.byref(batch))
    if status == _OUT_OF_MEMORY:
        raise MemoryError(f"no memory for the contrastive loss of {rows} rows of {features} features")
    return status


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None or tensor.numel() == 0 else tensor.data_ptr()


def _tile(rows: Any, dtype: torch.dtype) -> Any:
    """Return the rows of a tile: so few that many threads get several, whatever the number of threads here."""
    return _whole_panels(torch.sym_max(_SMALLEST_TILE, torch.sym_min(TILE, rows // 8)), dtype)


def _whole_panels(rows: Any, dtype: torch.dtype) -> Any:
    panel = _panel(dtype, instructions())
    return (rows + panel - 1) // panel * panel


@functools.cache
def _panel(dtype: torch.dtype, instructions: int) -> int:
    panel: int = getattr(_library(), f"hscl_panel_{_NAMES[dtype]}")(instructions)
    return panel


@functools.cache
def instructions() -> int:
    """Return which code runs: 0 for any CPU, 1 for AVX2, 2 for AVX-512; whichever torch itself uses here."""
    return _INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability(), 0)


@functools.cache
def _library() -> Any:
    paths = [Path(__file__).with_name(f"_objective{suffix}") for suffix in EXTENSION_SUFFIXES]
    found = next((path for path in paths if path.exists()), None)
    if found is None:
        raise ImportError(
            "it was not built: install a C++ compiler (Debian: apt-get install g++), then install hscl-fast again"
        )
    library = ctypes.CDLL(str(found))
    library.hscl_sources.restype = ctypes.c_char_p
    sources = Path(__file__).with_name("native")
    if library.hscl_sources().decode() != sources_hash(sources):
        raise ImportError(f"{found} was built from other sources than those in {sources}: install hscl-fast again")
    return library
