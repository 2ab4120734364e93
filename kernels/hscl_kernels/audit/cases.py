"""What the audit runs: the operations, called as users call them, on tensors without values (``meta``).

A case is chosen because its launches differ from those of the cases before it: in a dtype, in an entry of the tables,
in what is absent, in sizes or addresses. Launches that compile to the same form are compiled once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributed import HashStore, ProcessGroup

from hscl_kernels.contrast.op import hscl_loss, info_nce
from hscl_kernels.draws.distribution import ViewDistribution
from hscl_kernels.draws.op import draw_view_parameters
from hscl_kernels.gpus import GPUS
from hscl_kernels.prototypes.op import prototype_similarity
from hscl_kernels.views.op import augment_views
from hscl_kernels.views.parameters import ViewParameters

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
ONLINE = 0.02  # a temperature at which sums are kept as log sums
FEW = 2048  # rows
VIEWS_PER_IMAGE = 8
MOST_ADDRESSED = 2**31  # bytes that AMD's buffer instructions reach


class Case(NamedTuple):
    """One call of an operation, forward and backward, whose launches are recorded.

    ``variant`` is in words what sets it apart, ``rows`` and ``features`` its N and D (of views: how many, and their
    side in pixels), ``form`` whether the batch is on one device or spread over several.
    """

    variant: str
    dtype: str
    rows: int
    features: int
    call: Callable[[], None]
    form: str = "single"

    @property
    def name(self) -> str:
        """The case in words, such as ``hscl bf16 D128``."""
        size = f"{self.features} px" if self.variant.startswith(("rgb", "grey")) else f"D{self.features}"
        return f"{self.variant} {self.dtype} {size}"

    @property
    def targets(self) -> list[str]:
        """The targets on which it may launch what no other case does."""
        backends = {"tf32": "cuda", "past 2 GiB": "hip"}
        own = [backend for words, backend in backends.items() if words in self.variant]
        return [target for target, gpu in GPUS.items() if gpu.backend in (own or {"cuda", "hip"})]


def cases(rows: int) -> list[Case]:
    """Return all cases, the ordinary training step at ``rows`` rows first, then that of few rows."""
    ordinary, *steps = _steps(rows)
    few, *small = _few_rows()
    return [
        ordinary,
        few,
        *steps,
        *small,
        *_other_losses(rows),
        *_sharded(rows),
        *_hostile(rows),
        *_similarities(rows),
        *_views(rows),
        *_draws(rows),
    ]


def _steps(rows: int) -> list[Case]:
    """Return ``hscl_loss`` at every entry of the tables."""
    return [
        *(_hscl("hscl", dtype, rows, width) for dtype in ("bf16", "fp32") for width in (128, 64, 256)),
        _hscl("hscl", "fp16", rows, 128),
        *(_hscl("tf32", "fp32", rows, width) for width in (128, 64, 256)),
        *(
            _hscl("online", dtype, rows, width, temperature=ONLINE)
            for dtype in ("bf16", "fp32")
            for width in (128, 64, 256)
        ),
    ]


def _few_rows() -> list[Case]:
    """Return losses of the paper's batch, whose sweep has tiles of its own and computes the terms of the rows, too."""
    return [
        *(_hscl("few rows", dtype, FEW, width) for dtype in ("bf16", "fp32") for width in (128, 64, 256)),
        _hscl("few rows", "fp16", FEW, 128),
        _hscl("few rows, tf32", "fp32", FEW, 128),
        _info_nce("few rows, info_nce", "bf16", FEW, 128),
        _hscl("few rows, multinomial", "bf16", FEW, 128, estimator="multinomial"),
        _hscl("few rows", "bf16", FEW, 128, sharded=True),
    ]


def _other_losses(rows: int) -> list[Case]:
    entries = [("bf16", 128), ("bf16", 256), ("fp32", 128)]
    return [
        *(_info_nce("info_nce", dtype, rows, width) for dtype, width in entries),
        *(_info_nce("info_nce online", dtype, rows, width, temperature=ONLINE) for dtype, width in entries),
        _hscl("multinomial", "bf16", rows, 128, estimator="multinomial"),
        _hscl("multinomial online", "bf16", rows, 128, estimator="multinomial", temperature=ONLINE),
        # Without prototypes that are trained, and with gradients of single terms.
        _hscl("untrusted", "bf16", rows, 128, lambda_prototype=0.0),
        _hscl("terms", "bf16", rows, 128, terms=("sample_to_sample", "normal_to_abnormal", "sample_to_prototype")),
        _hscl("terms and total", "bf16", rows, 128, terms=("total", "sample_to_sample", "normal_to_abnormal")),
    ]


def _sharded(rows: int) -> list[Case]:
    entries = [("bf16", 128), ("bf16", 64), ("bf16", 256), ("fp32", 128), ("fp32", 256)]
    return [
        *(_hscl("hscl", dtype, rows, width, sharded=True) for dtype, width in entries),
        *(_hscl("online", dtype, rows, width, sharded=True, temperature=ONLINE) for dtype, width in entries),
    ]


def _hostile(rows: int) -> list[Case]:
    """Return sizes, strides and addresses that Triton may compile anew for."""
    return [
        *(_hscl("hscl", "bf16", rows, features) for features in (8, 100)),
        _hscl("hscl", "fp16", 1, 1),
        *(_hscl("hscl", "bf16", some, 128, prototypes=2) for some in (2, 17, 128, 2047, 2048)),
        _hscl("many prototypes", "bf16", rows, 128, prototypes=256),
        _hscl("32-bit ids", "bf16", rows, 128, integers=torch.int32),
        _hscl("at odd addresses", "bf16", 2047, 100, offset=1),
        _hscl("by columns", "bf16", rows, 128, transposed=True),
        _hscl("past 2 GiB", "bf16", 2**22, 256),
    ]


def _similarities(rows: int) -> list[Case]:
    return [
        *(_similarity("similarity", dtype, rows, 128) for dtype in DTYPES),
        _similarity("similarity past 2 GiB", "fp32", MOST_ADDRESSED // 4 // 128, 128),
    ]


def _views(rows: int) -> list[Case]:
    return [
        *(_augment(variant, dtype, rows, 32) for variant in ("rgb", "grey") for dtype in ("bf16", "fp32")),
        _augment("rgb", "fp16", rows, 32),
        _augment("rgb", "bf16", 2048, 224),
        _augment("rgb at odd addresses", "bf16", 2047, 33, offset=1),
        _augment("rgb past 2 GiB", "bf16", MOST_ADDRESSED // 32**2 // 3 * VIEWS_PER_IMAGE, 32),
    ]


def _draws(rows: int) -> list[Case]:
    return [*(_draw(rows, rotations) for rotations in (1, 2, 4)), _draw(rows, 4, crop_first=True)]


def _empty(*shape: int, dtype: torch.dtype, offset: int = 0) -> Tensor:
    """Return a contiguous tensor without values, so many elements behind an aligned address."""
    whole = torch.empty(offset + torch.Size(shape).numel(), dtype=dtype, device="meta")
    return whole[offset:].view(shape)


def _hscl(
    variant: str,
    dtype: str,
    rows: int,
    features: int,
    *,
    prototypes: int = 1,
    temperature: float = 0.5,
    lambda_prototype: float = 1.0,
    estimator: str = "expectation",
    terms: tuple[str, ...] = ("total",),
    sharded: bool = False,
    integers: torch.dtype = torch.int64,
    offset: int = 0,
    transposed: bool = False,
) -> Case:
    def call() -> None:
        shape = (features, rows) if transposed else (rows, features)
        z = _empty(*shape, dtype=DTYPES[dtype], offset=offset)
        embeddings = (z.T if transposed else z).requires_grad_()
        known = _empty(prototypes, features, dtype=torch.float32, offset=offset).requires_grad_()
        ids, roles = (_empty(rows, dtype=integers, offset=offset) for _ in range(2))
        loss = hscl_loss(
            embeddings,
            known,
            ids,
            roles,
            temperature=temperature,
            lambda_prototype=lambda_prototype,
            na_estimator=estimator,  # type: ignore[arg-type]
            group=ProcessGroup(HashStore(), 0, 1)
            if sharded
            else None,  # a group of one launches what a rank of many does
            backend="triton",
        )
        torch.stack([getattr(loss, term) for term in terms]).sum().backward()

    if "tf32" in variant:
        call = functools.partial(_allowing_tf32, call)
    return Case(variant, dtype, rows, features, call, "sharded" if sharded else "single")


def _allowing_tf32(call: Callable[[], None]) -> None:
    policy = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        call()
    finally:
        torch.backends.cuda.matmul.fp32_precision = policy


def _info_nce(variant: str, dtype: str, rows: int, features: int, *, temperature: float = 0.5) -> Case:
    def call() -> None:
        embeddings = _empty(rows, features, dtype=DTYPES[dtype]).requires_grad_()
        info_nce(embeddings, _empty(rows, dtype=torch.int64), temperature, backend="triton").backward()

    return Case(variant, dtype, rows, features, call)


def _similarity(variant: str, dtype: str, rows: int, features: int) -> Case:
    def call() -> None:
        embeddings = _empty(rows, features, dtype=DTYPES[dtype]).requires_grad_()
        prototypes = _empty(10, features, dtype=torch.float32).requires_grad_()
        prototype_similarity(embeddings, prototypes, backend="triton")[0].sum().backward()

    return Case(variant, dtype, rows, features, call)


def _augment(variant: str, dtype: str, rows: int, side: int, *, offset: int = 0) -> Case:
    def call() -> None:
        channels = 1 if variant.startswith("grey") else 3
        images = _empty(-(-rows // VIEWS_PER_IMAGE), side, side, channels, dtype=torch.uint8, offset=offset)
        parameters = ViewParameters.identity(_empty(rows, dtype=torch.int64, offset=offset))
        augment_views(images, parameters, dtype=DTYPES[dtype], backend="triton")

    return Case(variant, dtype, rows, side, call)


def _draw(rows: int, rotations: int, *, crop_first: bool = False) -> Case:
    def call() -> None:
        indices = _empty(-(-rows // (2 * rotations)), dtype=torch.int64)
        seed, step = (torch.empty((), dtype=torch.int64, device="meta") for _ in range(2))
        distribution = ViewDistribution(crop_first=crop_first)
        draw_view_parameters(
            indices, distribution, seed=seed, step=step, size=(32, 32), rotations=rotations, backend="triton"
        )

    return Case(f"draws, {rotations} rotations{', crop first' if crop_first else ''}", "fp32", rows, 12, call)
