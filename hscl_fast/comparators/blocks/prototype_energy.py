"""Elsa's energy: how near an embedding is to prototypes that k-means has found, and the losses on it."""

from __future__ import annotations

import math

import torch
from hscl_kernels import unit
from torch import Tensor

from hscl_fast.counted import counted
from hscl_fast.data.types import ABNORMAL
from hscl_fast.errors import UsageError

PROTOTYPES = 50
TEMPERATURE = 0.5
# The energy is at least log K - 1 / tau, and its inverse is a loss: it must be above 0.
LEAST_PROTOTYPES = math.floor(math.exp(1 / TEMPERATURE)) + 1
_LEAST = 1e-6  # an energy may reach its bound only where all prototypes are one


def number_of_prototypes(images: int) -> int:
    """Return K for this many training images.

    Raises
    ------
    UsageError
        There are too few.
    """
    if images < LEAST_PROTOTYPES:
        raise UsageError(
            f"The training set has {counted(images, 'image')} that are not labelled anomalies, but Elsa needs at least "
            f"{LEAST_PROTOTYPES}, one for each prototype. Add images, or use another --method."
        )
    return min(PROTOTYPES, images)


def spherical_k_means(embeddings: Tensor, count: int, *, seed: int) -> Tensor:
    """Return the directions ``[count, D]`` of the centres of unit rows ``[n, D]``."""
    from sklearn.cluster import KMeans  # imported here, so that scoring new images need not

    rows = embeddings.double().cpu().numpy()
    centres = KMeans(count, n_init=1, random_state=seed % 2**32).fit(rows).cluster_centers_
    return unit(torch.from_numpy(centres)).to(embeddings)


def energy(embeddings: Tensor, prototypes: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return ``log sum_k exp(<z, p_k> / tau)``, ``[...]`` for unit rows ``[..., D]`` and prototypes ``[K, D]``."""
    return (embeddings @ prototypes.T / temperature).logsumexp(dim=-1)


def energy_loss(energies: Tensor, roles: Tensor, prototypes: int) -> Tensor:
    """Return the mean of 1 / E over the rows, but of 1 / (C - E) for labelled anomalies, C = log K + 1 / tau.

    The first raises the energy of images that may be normal, the second lowers that of labelled anomalies.
    """
    highest = math.log(prototypes) + 1 / TEMPERATURE
    wanted = torch.where(roles == ABNORMAL, highest - energies, energies)
    return (1 / wanted.clamp(min=_LEAST)).mean()
