"""Philox4x32-10, the counter-based generator behind every random choice.

A number is a pure function of (key, counter): the same on every device, in any order, after every resume.

Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. The 32-bit words are held in int64
tensors; products wrap modulo 2**64, so masking recovers both halves exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox4x32(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> Tensor:
    """Return four random 32-bit words for each counter.

    Parameters
    ----------
    counter
        Four int64 tensors, broadcastable to one shape S, each word in [0, 2**32).
    key
        Two int64 tensors, broadcastable to S, each word in [0, 2**32).

    Returns
    -------
    Tensor
        int64 ``[4, *S]``, each word in [0, 2**32).
    """
    c0, c1, c2, c3 = torch.broadcast_tensors(*counter)
    k0, k1 = key
    for _ in range(_ROUNDS):
        first, second = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            ((second >> 32) & _MASK) ^ c1 ^ k0,
            second & _MASK,
            ((first >> 32) & _MASK) ^ c3 ^ k1,
            first & _MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return torch.stack((c0, c1, c2, c3))


def random_words(seed: Tensor, step: Tensor, index: Tensor, row: Tensor, count: int, *, stream: int) -> Tensor:
    """Return ``count`` random 32-bit words for every (index, row) at this seed and step.

    Parameters
    ----------
    seed, step
        int64 scalars on the device of ``index``; the seed's two halves are the key.
    index
        int64 ``S``: the item that the words belong to (an image, a row of the batch), below 2**32.
    row
        int64, broadcastable to ``S``: the copy of the item (view and rotation), below 2**16.
    count
        Words wanted for each item, at most 1024.
    stream
        The use of randomness (0 to 63), so that no two uses share numbers.

    Returns
    -------
    Tensor
        int64 ``[count, *S]``, each word in [0, 2**32).
    """
    blocks = torch.arange(-(-count // 4), device=index.device).reshape(-1, *[1] * index.dim())
    third = (row & 0xFFFF) | (blocks << 16) | (stream << 26)
    counter = (index & _MASK, step & _MASK, third, (step >> 32) & _MASK)
    words = philox4x32(counter, (seed & _MASK, (seed >> 32) & _MASK))  # [4, blocks, *S]
    return words.transpose(0, 1).reshape(-1, *index.shape)[:count]


def random_uniforms(seed: Tensor, step: Tensor, index: Tensor, row: Tensor, count: int, *, stream: int) -> Tensor:
    """Return :func:`random_words` as float64 ``[count, *S]`` uniform in (0, 1), exact on every device."""
    words = random_words(seed, step, index, row, count, stream=stream)
    return (words.to(torch.float64) + 0.5) * 2.0**-32
