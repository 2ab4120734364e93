"""The base class of the normality scores, which runs images through the network in batches and reads ahead."""

from __future__ import annotations

import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Protocol, Self

import numpy as np
import torch
from hscl_kernels import ViewParameters, augment_views
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.compiling import compile_whole
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import Execution, encoder_precision
from hscl_fast.method.network import Network

Advance = Callable[[int], object]
_Forward = Callable[[Network, Tensor, torch.dtype], tuple[Tensor, Tensor | None]]


class ImageSequence(Protocol):
    """Images uint8 ``[n, H, W, 3]`` in memory, or read when a slice of them is accessed."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> NDArray[np.uint8]: ...


def ignore(images: int) -> None:
    """Ignore the number of images done."""


class Scoring(ABC):
    """Scores images with a trained network.

    Parameters
    ----------
    network
        The trained network, in evaluation mode on its device.
    execution
        Device, precision and compile mode. If compiled, an incomplete last batch is padded, so that nothing is compiled
        again for it.
    batch_size
        Images per batch; a score with several views per image may use fewer.
    augment
        How the training views are drawn.

    Attributes
    ----------
    rows_per_image
        The number of views per image that go through the network.
    shrink_batch
        The factor by which a batch of this score is smaller than ``batch_size``.
    learns_from_anomalies
        Whether :meth:`calibrate` needs the labelled anomalies of training.
    """

    rows_per_image: ClassVar[int] = 1
    shrink_batch: ClassVar[int] = 1
    learns_from_anomalies: ClassVar[bool] = False

    def __init__(
        self,
        network: Network,
        execution: Execution,
        batch_size: int,
        augment: AugmentConfig,
    ) -> None:
        self.network, self.execution, self.augment = network, execution, augment
        self.images_per_batch = max(1, batch_size // self.shrink_batch)
        self.constants: dict[str, Tensor] = {}

    @torch.inference_mode()
    def calibrate(
        self, images: ImageSequence, advance: Advance = ignore, *, anomalies: ImageSequence | None = None
    ) -> Self:
        """Compute the score's constants from the training images.

        Parameters
        ----------
        images
            uint8 ``[n, H, W, 3]``, all but the labelled anomalies.
        advance
            Called with the number of ``images`` of every batch.
        anomalies
            uint8 ``[m, H, W, 3]``, the labelled anomalies, which most scores ignore.
        """
        self.constants = self._learn(self._batches(images, advance))
        if self.learns_from_anomalies:
            self.constants |= self._learn_anomalies(iter(()) if anomalies is None else self._batches(anomalies, ignore))
        return self

    def use(self, constants: dict[str, Tensor]) -> None:
        """Take the constants of an earlier :meth:`calibrate`, on any device.

        Raises
        ------
        ValueError
            They are not those of this score and network; the message is a predicate such as ``has no anomaly``.
        """
        expected = self._constant_shapes()
        if constants.keys() != expected.keys():
            raise ValueError(f"has the constants {sorted(constants)}, expected {sorted(expected)}")
        for name, tensor in constants.items():
            shape = expected[name]
            fits = len(shape) == tensor.dim() and all(a in (None, b) for a, b in zip(shape, tensor.shape, strict=True))
            if tensor.dtype != torch.float32 or not fits:
                wanted = ", ".join("n" if size is None else str(size) for size in shape)
                raise ValueError(
                    f"has {name} as {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}, expected float32 "
                    f"[{wanted}]"
                )
            if not (tensor.numel() and tensor.isfinite().all()):
                raise ValueError(f"has a {name} that is empty or not finite")
        self.constants = {name: tensor.to(self.execution.device) for name, tensor in constants.items()}

    def score(self, images: ImageSequence, advance: Advance = ignore) -> NDArray[np.float64]:
        """Return the score of every image: uint8 ``[n, H, W, 3]`` -> float64 ``[n]``, higher = more normal."""
        return self.score_batches(self._slices(images), advance)

    @torch.inference_mode()
    def score_batches(self, batches: Iterator[NDArray[np.uint8]], advance: Advance = ignore) -> NDArray[np.float64]:
        """Return the score of every image of batches, as :meth:`score` does.

        All batches must have ``images_per_batch`` images but the last one, which may have fewer.
        """
        twins = _Twins()
        scores = [self._score_batch(batch) for _, batch in self._on_device(map(twins.noted, batches), advance)]
        if not scores:
            return np.zeros(0)
        # The last digits of a sum depend on the place in a batch, but equal images must not be ranked.
        return torch.cat(scores).double().cpu().numpy()[twins.first_of_each]

    def score_known(self, images: ImageSequence, advance: Advance = ignore) -> NDArray[np.float64]:
        """Return the scores of the images that it was calibrated on, in the same order, as if each were new."""
        return self.score(images, advance)

    def _constant_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Return the shape of every constant, None for any size."""
        return {}

    def _learn(self, batches: Iterator[tuple[int, Tensor]]) -> dict[str, Tensor]:
        """Return the constants computed from the training images; most scores have none."""
        return {}

    def _learn_anomalies(self, batches: Iterator[tuple[int, Tensor]]) -> dict[str, Tensor]:
        """Return the constants computed from the labelled anomalies of training."""
        return {}

    @abstractmethod
    def _score_batch(self, images: Tensor) -> Tensor:
        """Return the scores ``[B]`` of images uint8 ``[B, H, W, 3]``."""

    def _upright(self, images: Tensor, rotations: int = 1) -> Tensor:
        """Return un-augmented views ``[rotations * B, 3, H, W]``."""
        places = torch.arange(len(images), device=images.device).repeat(rotations)
        turns = torch.arange(rotations, device=images.device).repeat_interleave(len(images))
        return self._render(images, ViewParameters.identity(places, turns))

    def _render(self, images: Tensor, parameters: ViewParameters) -> Tensor:
        mean, std = self.network.statistics
        return augment_views(
            images, parameters, dtype=self.execution.precision, mean=mean, std=std, backend=self.augment.backend
        )

    def _features(self, views: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return embeddings and rotation logits of views, float32."""
        rows, precision = len(views), self.execution.precision
        if self.execution.compile == "off":
            return _forward(self.network, views, precision)
        full = self.images_per_batch * self.rows_per_image
        if rows < full:
            views = torch.cat((views, views.new_zeros(full - rows, *views.shape[1:])))
        views = views.contiguous(memory_format=torch.channels_last)
        embeddings, logits = _compiled_forward(self.execution.compile)(self.network, views, precision)
        # Copies, because a captured CUDA graph overwrites its results in the next call.
        return embeddings[:rows].clone(), None if logits is None else logits[:rows].clone()

    def _batches(self, images: ImageSequence, advance: Advance) -> Iterator[tuple[int, Tensor]]:
        """Yield batches on the device and the place of their first image."""
        return self._on_device(self._slices(images), advance)

    def _slices(self, images: ImageSequence) -> Iterator[NDArray[np.uint8]]:
        size = self.images_per_batch
        return (images[first : first + size] for first in range(0, len(images), size))

    def _on_device(self, batches: Iterator[NDArray[np.uint8]], advance: Advance) -> Iterator[tuple[int, Tensor]]:
        """Yield batches on the device and the place of their first image; the next batch is read meanwhile."""
        device, first = self.execution.device, 0

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
                yield first, batch.to(device, non_blocking=True)
                advance(len(batch))
                first += len(batch)


class _Twins:
    """Finds equal images in a sequence by their hashes."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self.first_of_each: list[int] = []  # for every image the place of the first that is equal to it

    def noted(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the images, whose hashes are remembered."""
        for image in images:
            digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
            self.first_of_each.append(self._places.setdefault(digest, len(self.first_of_each)))
        return images


def _forward(network: Network, views: Tensor, precision: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Return embeddings and rotation logits of views, in float32."""
    with encoder_precision(views.device, precision):
        embeddings, logits = network(views)
    return embeddings.float(), None if logits is None else logits.float()


@functools.cache
def _compiled_forward(mode: str) -> _Forward:
    return compile_whole(_forward, mode)
