"""torch's own generators while a run trains: encoders with dropout or stochastic depth draw from them."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

import torch


def own_randomness(device: torch.device) -> AbstractContextManager[None]:
    """Return a context after which torch's generators are as they were before."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def seed_torch(seed: int, step: int, rank: int) -> None:
    """Seed torch's generators for one step, so that a run draws the same however often it was resumed.

    Parameters
    ----------
    seed
        ``runtime.seed``.
    step
        The step, from 0.
    rank
        Of this process; each drops its own units.
    """
    digest = hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "big") >> 1)
