"""Normality scores of images, higher = more normal: Eq. 9 and its variants.

``paper`` is one un-augmented view, ``rotations`` its mean over four rotations, ``released`` the released code's
average over ten crops and four rotations with rotation logits, ``knn`` CSI's similarity to the nearest training image.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from hscl_kernels import ViewParameters, augment_views, prototype_similarity
from hscl_kernels.prototypes.reference import unit
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.compiling import compile_whole
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import encoder_precision
from hscl_fast.method.augment import ROTATIONS, draw_views
from hscl_fast.method.network import Detector


class ImageSequence(Protocol):
    """Images uint8 ``[n, H, W, 3]`` in memory, or read when a slice of them is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> NDArray[np.uint8]: ...


Network = Callable[[Detector, Tensor, torch.dtype], tuple[Tensor, Tensor | None]]

RELEASED_CROPS = 10
RELEASED_AREA = 0.54
_CROP_SEED = 0  # the released scoring draws its crops anew from fixed seeds for every batch


def _unheard(images: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Scorer:
    """A detector with what its score needs to know of the training set.

    Parameters
    ----------
    model
        The trained detector, in evaluation mode on its device.
    scoring
        ``paper``, ``rotations``, ``released`` or ``knn``.
    batch_size
        Images a batch; for ``released`` a tenth of it, since all ten crops of an image are scored at once.
    precision
        dtype the encoder runs in.
    constants
        What :func:`calibrate` found: nothing for ``paper`` and ``rotations``; ``embedding_norm [4]`` and
        ``rotation_logit [4]`` for ``released``; ``features [n, D]`` for ``knn``.
    augment
        The training views, which ``released`` scoring draws from with its own crop area.
    compile
        ``off`` or a mode of ``torch.compile`` for the network: see :func:`hscl_fast.compiling.compile_whole`. A last
        batch that is not full is filled up, so that nothing is compiled again for it.
    """

    model: Detector
    scoring: str
    batch_size: int
    precision: torch.dtype
    augment: AugmentConfig
    constants: dict[str, Tensor] = field(default_factory=dict)
    compile: str = "off"

    @torch.inference_mode()
    def score(self, images: ImageSequence, advance: Callable[[int], object] = _unheard) -> NDArray[np.float64]:
        """Return the score of every image: uint8 ``[n, H, W, 3]`` -> float64 ``[n]``, higher = more normal.

        ``advance`` is told how many images every batch had.
        """
        scores = [self._score_batch(batch, first) for first, batch in self._batches(images, advance)]
        return torch.cat(scores).double().cpu().numpy() if scores else np.zeros(0)

    @torch.inference_mode()
    def calibrate(self, images: ImageSequence, advance: Callable[[int], object] = _unheard) -> Scorer:
        """Return a scorer that knows the training images (uint8 ``[n, H, W, 3]``, none of them a known anomaly)."""
        if self.scoring == "knn":
            features = [unit(self._features(self._upright(batch))[0]) for _, batch in self._batches(images, advance)]
            return replace(self, constants={"features": torch.cat(features)})
        if self.scoring == "released":
            parts = [self._released_parts(batch, first) for first, batch in self._batches(images, advance)]
            norms = torch.cat([embeddings.norm(dim=2) for embeddings, _ in parts], dim=1)  # [4, n]
            logits = torch.cat([own for _, own in parts], dim=1)  # [4, n]
            means = {"embedding_norm": norms.mean(dim=1), "rotation_logit": logits.mean(dim=1)}
            return replace(self, constants=means)
        return self

    def _score_batch(self, images: Tensor, first: int) -> Tensor:
        if self.scoring == "released":
            return self._released_score(images, first)
        rotations = ROTATIONS if self.scoring == "rotations" else 1
        embeddings, _ = self._features(self._upright(images, rotations))
        if self.scoring == "knn":
            return (unit(embeddings) @ self.constants["features"].T).amax(dim=1)
        similarity, _ = prototype_similarity(embeddings, self.model.prototypes.float())
        return similarity.view(rotations, -1).mean(dim=0)

    def _released_score(self, images: Tensor, first: int) -> Tensor:
        embeddings, own_logits = self._released_parts(images, first)
        prototypes = unit(self.model.prototypes.float())
        similarity = (embeddings @ prototypes.T).amax(dim=2)  # [4, B], not normalised, as released
        by_similarity = similarity / self.constants["embedding_norm"][:, None]
        by_rotation = own_logits / self.constants["rotation_logit"][:, None]
        return (by_similarity + by_rotation).mean(dim=0)

    def _released_parts(self, images: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Means over ten crops: embeddings ``[4, B, D]`` and each rotation's own logit ``[4, B]``."""
        policy = replace(self.augment, crop_area=(RELEASED_AREA, RELEASED_AREA))
        indices = torch.arange(first, first + len(images), device=images.device)
        seed = torch.tensor(_CROP_SEED, device=images.device)
        size = (images.shape[1], images.shape[2])
        steps = torch.arange(RELEASED_CROPS, device=images.device)
        crops = [draw_views(policy, indices, seed=seed, step=step, size=size, views=1) for step in steps]
        parameters = ViewParameters(*(torch.cat(fields) for fields in zip(*crops, strict=True)))
        embeddings, logits = self._features(self._render(images, parameters))
        assert logits is not None  # the configuration requires the rotation head
        rows = (RELEASED_CROPS, ROTATIONS, len(images))
        own = logits.view(*rows, ROTATIONS).diagonal(dim1=1, dim2=3)  # [10, B, 4]
        return embeddings.view(*rows, -1).mean(dim=0), own.mean(dim=0).T

    def _upright(self, images: Tensor, rotations: int = 1) -> Tensor:
        places = torch.arange(len(images), device=images.device).repeat(rotations)
        turns = torch.arange(rotations, device=images.device).repeat_interleave(len(images))
        return self._render(images, ViewParameters.identity(places, turns))

    def _render(self, images: Tensor, parameters: ViewParameters) -> Tensor:
        return augment_views(images, parameters, dtype=self.precision, backend=self.augment.backend)

    def _features(self, views: Tensor) -> tuple[Tensor, Tensor | None]:
        rows = len(views)
        if self.compile == "off":
            return _network(self.model, views, self.precision)
        full = self._images_a_batch * self._rows_an_image
        if rows < full:
            views = torch.cat((views, views.new_zeros(full - rows, *views.shape[1:])))
        views = views.contiguous(memory_format=torch.channels_last)
        embeddings, logits = _compiled_network(self.compile)(self.model, views, self.precision)
        # Copies: a captured graph writes its next results where these are.
        return embeddings[:rows].clone(), None if logits is None else logits[:rows].clone()

    @property
    def _rows_an_image(self) -> int:
        return {"rotations": ROTATIONS, "released": RELEASED_CROPS * ROTATIONS}.get(self.scoring, 1)

    @property
    def _images_a_batch(self) -> int:
        return max(1, self.batch_size // (RELEASED_CROPS if self.scoring == "released" else 1))

    def _batches(self, images: ImageSequence, advance: Callable[[int], object]) -> Iterator[tuple[int, Tensor]]:
        """Yield batches on the device with the place of their first image; each is read while the last is scored."""
        device, size = self.model.prototypes.device, self._images_a_batch

        def read(first: int) -> Tensor:
            batch = torch.from_numpy(images[first : first + size])
            return batch.pin_memory() if device.type == "cuda" else batch

        with ThreadPoolExecutor(1, "reader") as reader:
            ahead = reader.submit(read, 0)
            for first in range(0, len(images), size):
                batch, ahead = ahead.result(), reader.submit(read, first + size)
                yield first, batch.to(device, non_blocking=True)
                advance(len(batch))


def _network(model: Detector, views: Tensor, precision: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """Return embeddings and rotation logits of views, in float32."""
    with encoder_precision(views.device, precision):
        embeddings, logits = model(views)
    return embeddings.float(), None if logits is None else logits.float()


@functools.cache
def _compiled_network(mode: str) -> Network:
    return compile_whole(_network, mode)
