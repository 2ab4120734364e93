"""The inputs of the self-check: hostile batches that find errors, and one as large as in training for the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hscl_kernels.backends import Backend
from hscl_kernels.contrast.op import hscl_loss, info_nce
from hscl_kernels.contrast.reference import HSCLLoss
from hscl_kernels.prototypes.op import prototype_similarity
from hscl_kernels.selfcheck.draws_problem import DrawsProblem
from hscl_kernels.selfcheck.loss_problem import LossProblem
from hscl_kernels.selfcheck.views_problem import ViewsProblem
from hscl_kernels.views.parameters import ViewParameters

OPERATIONS = (
    "hscl_loss, expectation",
    "hscl_loss, multinomial",
    "hscl_loss, sharded",
    "info_nce",
    "prototype_similarity",
    "augment_views",
    "draw_view_parameters",
)
Problem = LossProblem | ViewsProblem | DrawsProblem
TRAINING_ROWS, TRAINING_FEATURES, TRAINING_IMAGES, TRAINING_SIDE = 2048, 128, 256, 32

_HSCL_OUTPUTS = ("total", "sample_to_sample", "sample_to_prototype", "normal_to_abnormal", "weights")
# Of the total and of each term, none of them 1; scaled as in float16 training, so that gradients do not underflow.
_UPSTREAM = tuple(256 * share for share in (1.7, -0.6, 0.8, 1.3))


class Batch(NamedTuple):
    """``embeddings [N, D]`` and ``prototypes [K, D]`` float64, ``ids`` and ``roles`` int64 ``[N]``."""

    embeddings: Tensor
    prototypes: Tensor
    ids: Tensor
    roles: Tensor


class Case(NamedTuple):
    """A batch's shape and its peculiarities.

    ``spread`` is the standard deviation of the logarithms of the rows' lengths. ``concerns`` holds the first letters of
    the operations that the case is for.
    """

    rows: int = 37
    features: int = 32
    prototypes: int = 3
    roles: tuple[int, ...] = (1, 0, -1, 2, 0)
    temperature: float = 0.5
    spread: float = 1.0
    change: Callable[[Batch], Batch] = lambda batch: batch
    concerns: str = "hip"


def _zero_rows(batch: Batch) -> Batch:
    batch.embeddings[[0, 3, 20]] = 0
    batch.prototypes[1] = 0
    return batch


def _identical_rows(batch: Batch) -> Batch:
    return batch._replace(embeddings=batch.embeddings[:1].repeat(len(batch.ids), 1))


def _opposite_rows(batch: Batch) -> Batch:
    """Make the last row the opposite of all others, whose exponentials are far below those of anything else."""
    batch.embeddings[:-1] = batch.embeddings[0]
    batch.embeddings[-1] = -batch.embeddings[0]
    return batch


CASES = {
    "raw rows": Case(),
    "2 rows": Case(rows=2),
    "513 rows of 128": Case(rows=513, features=128),
    "131 rows of 20": Case(rows=131, features=20, prototypes=17),
    "256 features": Case(rows=70, features=256),
    "zero rows": Case(change=_zero_rows),
    "identical rows": Case(change=_identical_rows),
    "tied prototypes": Case(
        prototypes=6,
        change=lambda batch: batch._replace(prototypes=batch.prototypes[[0, 0, 2, 2, 1, 1]]),
        concerns="hp",
    ),
    "temperature 0.02": Case(temperature=0.02, concerns="hi"),
    "opposite rows": Case(rows=70, change=_opposite_rows, temperature=0.1, concerns="hi"),
    "2 opposite rows": Case(rows=2, change=_opposite_rows, temperature=0.01, concerns="hi"),
    "many positives": Case(change=lambda batch: batch._replace(ids=batch.ids % 4), concerns="hi"),
    "no positives": Case(change=lambda batch: batch._replace(ids=torch.arange(len(batch.ids))), concerns="hi"),
    "no labelled normal": Case(roles=(0, -1, 2), concerns="h"),
    "no unlabelled": Case(roles=(1, -1, 2), concerns="h"),
    "no abnormal": Case(roles=(1, 0, 2), concerns="h"),
    "only excluded": Case(roles=(2,), concerns="h"),
}
VIEW_CASES = {"8 px": (8, 8, 3), "9 x 31 px": (9, 31, 3), "32 px": (32, 32, 3), "32 px, grey": (32, 32, 1)}
DRAW_CASES = {"all turns": DrawsProblem(70, (32, 32), 4), "one turn, 9 x 31 px": DrawsProblem(70, (9, 31), 2)}
# Cases that Triton's interpreter computes in seconds.
SMALL_CASES = (
    *("raw rows", "zero rows", "tied prototypes", "temperature 0.02", "opposite rows", "2 opposite rows"),
    *("no abnormal", "8 px"),
)


def hostile_problems(operation: str, *, small: bool) -> dict[str, Problem]:
    """Return the problems of an operation of :data:`OPERATIONS` by the name of their case."""
    if operation == "augment_views":
        views = {name: make_views(10, 10 if small else 40, *size) for name, size in VIEW_CASES.items()}
        return {name: problem for name, problem in views.items() if not small or name in SMALL_CASES}
    if operation == "draw_view_parameters":
        return dict(DRAW_CASES)
    return {
        name: make_loss(operation, make_batch(case), case.temperature)
        for name, case in CASES.items()
        if operation[0] in case.concerns and (not small or name in SMALL_CASES)
    }


def training_problem(operation: str) -> Problem:
    """Return a problem as large as one training step: 256 images of 32 pixels, 2 views x 4 rotations of each."""
    if operation == "augment_views":
        return make_views(TRAINING_IMAGES, TRAINING_ROWS, TRAINING_SIDE, TRAINING_SIDE, 3)
    if operation == "draw_view_parameters":
        return DrawsProblem(TRAINING_IMAGES, (TRAINING_SIDE, TRAINING_SIDE), 4)
    return make_loss(operation, make_batch(Case(rows=TRAINING_ROWS, features=TRAINING_FEATURES, prototypes=1)), 0.5)


def make_batch(case: Case, seed: int = 0) -> Batch:
    """Draw embeddings of many lengths around a common direction, prototypes near it, ids of two views, and roles."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    common = draw(case.features)
    embeddings = (common + draw(case.rows, case.features)) * draw(case.rows, 1).mul(case.spread).exp()
    prototypes = common + draw(case.prototypes, case.features)
    order = torch.randint(len(case.roles), (case.rows,), generator=generator)
    order[: len(case.roles)] = torch.arange(len(case.roles))[: case.rows]  # every role appears
    ids = torch.arange(case.rows) % -(-case.rows // 2)
    return case.change(Batch(embeddings, prototypes, ids, torch.tensor(case.roles)[order]))


def make_loss(operation: str, batch: Batch, temperature: float) -> LossProblem:
    """Return a contrastive operation or the similarity on a batch."""
    generator = torch.Generator().manual_seed(1)
    each = torch.randn(len(batch.ids), generator=generator)
    both = {"embeddings": batch.embeddings, "prototypes": batch.prototypes}
    if operation == "prototype_similarity":
        return LossProblem(prototype_similarity, ("similarity", "index"), both, (), (each,))
    if operation == "info_nce":
        options = {"temperature": temperature, "reduction": "none"}
        return LossProblem(info_nce, ("loss",), {"embeddings": batch.embeddings}, (batch.ids,), (each,), options)
    options = {"temperature": temperature, "lambda_prototype": 0.7, "lambda_abnormal": 1.4}
    if operation.endswith("multinomial"):
        uniforms = torch.rand(2, len(batch.ids), dtype=torch.float64, generator=generator)
        options |= {"na_estimator": "multinomial", "uniforms": uniforms}
    upstream = tuple(torch.tensor(value) for value in _UPSTREAM)
    loss = _sharded_loss if operation.endswith("sharded") else hscl_loss
    return LossProblem(loss, _HSCL_OUTPUTS, both, (batch.ids, batch.roles), upstream, options)


class _OneRank:
    """A process group of this process alone, in which nothing is communicated."""

    def rank(self) -> int:
        return 0

    def size(self) -> int:
        return 1


def _sharded_loss(*tensors: Tensor, backend: Backend, **options: Any) -> HSCLLoss:
    """Return the loss by the kernels of several GPUs; the reference has no such form."""
    group: Any = None if backend == "reference" else _OneRank()
    return hscl_loss(*tensors, group=group, backend=backend, **options)


def make_views(count: int, rows: int, height: int, width: int, channels: int) -> ViewsProblem:
    """Return rows of every kind on images that colour arithmetic trips over."""
    return ViewsProblem(make_images(count, height, width, channels), make_parameters(rows, count))


def make_images(count: int, height: int, width: int, channels: int, *, seed: int = 0) -> Tensor:
    """Draw noise; from 6 images on, the last five are black, white, one colour, a ramp and a single bright pixel."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8, generator=generator)
    if count > 5:
        images[-5:] = 0
        images[-4] = 255
        images[-3] = torch.tensor([200, 0, 40], dtype=torch.uint8)[:channels]
        images[-2] = torch.arange(width, dtype=torch.uint8)[None, :, None]
        images[-1, height // 2, width // 2] = 255
    return images


def make_parameters(rows: int, images: int, *, crop_first: bool | None = None, seed: int = 0) -> ViewParameters:
    """Draw rows of every kind in mixed order; some crops reach far beyond the image, so that mirroring shows."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(rows, *shape, generator=generator)

    def chance(share: float = 0.5) -> Tensor:
        return torch.rand(rows, generator=generator) < share

    return ViewParameters(
        image=torch.randint(0, images, (rows,), generator=generator),
        flip=chance(),
        rotation=torch.randint(-4, 8, (rows,), generator=generator),
        jitter=chance(0.75),
        contrast_first=chance(),
        hue=uniform(-1.5, 1.5),
        saturation=uniform(0, 2),
        value=uniform(0, 2),
        contrast=uniform(0, 2),
        gray=chance(0.25),
        crop=torch.cat((uniform(0.05, 1.5, 2), uniform(-1.5, 1.5, 2)), dim=1),
        crop_first=chance() if crop_first is None else torch.full((rows,), crop_first),
    )
