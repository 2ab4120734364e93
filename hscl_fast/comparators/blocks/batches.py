"""Which images each step trains on: a pure function of seed, name and step."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from hscl_fast.data.loaders.order import epoch_order


class Batches:
    """Batches of some of the training images, such as those of one role, in a new order at every pass.

    A pass ends anywhere in a batch, so every batch is full: with fewer images than ``size`` each comes several times.

    Parameters
    ----------
    rows
        int64 ``[n]``, the images to draw from; n is 1 or more.
    size
        B, images per batch.
    seed
        ``runtime.seed``.
    name
        Of these batches: others of the same comparator have another order.
    """

    def __init__(self, rows: Tensor, size: int, *, seed: int, name: str) -> None:
        self.rows, self.size = rows, size
        digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
        self._seed = int.from_bytes(digest, "big") >> 1
        self._orders: dict[int, Tensor] = {}

    @property
    def per_pass(self) -> int:
        """Steps of one pass over the images, rounded up."""
        return -(-len(self.rows) // self.size)

    def at(self, step: int) -> Tensor:
        """Return the images of a step, int64 ``[B]``."""
        count = len(self.rows)
        first, last = step * self.size, (step + 1) * self.size
        passes = range(first // count, (last - 1) // count + 1)
        self._orders = {number: self._order(number) for number in passes}
        joined = torch.cat([*self._orders.values()])
        begin = first - passes[0] * count
        return self.rows[joined[begin : begin + self.size]]

    def _order(self, number: int) -> Tensor:
        """Return the order of a pass; those of the batch before are kept, because passes take many batches."""
        if number in self._orders:
            return self._orders[number]
        return epoch_order(self._seed, number, len(self.rows), self.rows.device)
