"""A term of the objective: its names, and how one that is computed beside the sweep is added."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.distributed import ProcessGroup

from hscl_fast.config.sections import ObjectiveConfig


class Term(NamedTuple):
    """One term: ``name`` as a key of files, ``title`` in the report, ``short`` on the progress bar."""

    name: str
    title: str
    short: str


class TermInputs(NamedTuple):
    """The batch as an :class:`ExtraTerm` sees it.

    Attributes
    ----------
    embeddings
        Raw features ``[N, D]`` in row order, N = 2 views x R rotations x B.
    prototypes
        Raw prototypes ``[K, D]``.
    rotation_logits
        ``[N, 4]``, or None without ``shift_loss``.
    roles
        The role of every row, int64 ``[N]``.
    rotation
        The quarter turns of every row, int64 ``[N]``.
    group
        Ranks over which the batch is spread, or None: the tensors are this rank's share. Gradients are averaged.
    """

    embeddings: Tensor
    prototypes: Tensor
    rotation_logits: Tensor | None
    roles: Tensor
    rotation: Tensor
    group: ProcessGroup | None


class ExtraTerm(NamedTuple):
    """A term that needs no similarities between all pairs of rows, and is added to the total.

    Attributes
    ----------
    term
        Its names.
    is_on
        Whether the objective has it.
    loss
        Its weighted value, a float32 scalar.
    """

    term: Term
    is_on: Callable[[ObjectiveConfig], bool]
    loss: Callable[[ObjectiveConfig, TermInputs], Tensor]
