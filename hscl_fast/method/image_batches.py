"""Batches of images on the device; while one is used, the next is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

Advance = Callable[[int], object]


class ImageSequence(Protocol):
    """Images uint8 ``[n, H, W, 3]`` in memory, or read when a slice of them is accessed."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> NDArray[Any]: ...


def ignore(images: int) -> None:
    """Ignore the number of images done."""


def slices(images: ImageSequence, size: int) -> Iterator[NDArray[Any]]:
    """Yield the images in order, ``size`` at a time; the last may be fewer."""
    return (images[first : first + size] for first in range(0, len(images), size))


def on_device(batches: Iterator[NDArray[Any]], device: torch.device, advance: Advance = ignore) -> Iterator[Tensor]:
    """Yield batches on a device; the next one is read meanwhile. ``advance`` gets the number of images of each."""

    def read() -> Tensor | None:
        pixels = next(batches, None)
        if pixels is None:
            return None
        batch = torch.from_numpy(pixels)
        return batch.pin_memory() if device.type == "cuda" else batch

    with ThreadPoolExecutor(1, "reader") as reader:
        ahead = reader.submit(read)
        while (batch := ahead.result()) is not None:
            ahead = reader.submit(read)
            yield batch.to(device, non_blocking=True)
            advance(len(batch))
