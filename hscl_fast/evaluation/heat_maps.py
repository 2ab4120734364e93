"""Heat maps: which places of an image make a run call it anomalous."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hscl_fast.method.image_batches import Advance, ImageSequence, ignore, on_device, slices
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.method.scoring.scoring import Scoring

_GRADIENT = (
    "gradient of the anomaly score: how much it would fall, to first order, if the features of a place were those of "
    "the whole image on average, added up over the resolutions of the encoder"
)
_OCCLUSION = "occlusion: how much the anomaly score falls when a place is painted over with the image's mean colour"
_SMALL = 64  # pixels; up to this size the network is fast enough for 100 occluded copies of an image
_STEPS, _WIDTH = 8, 3  # of the occluding window: steps per side, and its width in steps
_OCCLUDED = 2048  # occluded copies in memory at a time
_BATCH = 16  # views that are differentiated at a time, whose features are all in memory
_COARSEST = 16  # pixels per place; maps that are coarser than this say next to nothing of where a small defect is

HeatMaps = NDArray[np.float32]


def heat_map_method(scorer: ImageScorer) -> str:
    """Return in words how :func:`heat_maps` makes the maps of a score."""
    return _GRADIENT if _is_large(scorer) else _OCCLUSION


def _is_large(scorer: ImageScorer) -> TypeGuard[Scoring]:
    """Whether it is a score of HSCL on images too large for many passes of the network."""
    return isinstance(scorer, Scoring) and scorer.sees_network and scorer.network.image_size > _SMALL


def heat_maps(scorer: ImageScorer, images: ImageSequence, advance: Advance = ignore) -> HeatMaps:
    r"""Return for every image how much each of its places raises the anomaly score.

    For images of up to 64 pixels it is the mean, over the windows of 3/8 of the side that cover a place, of what the
    score loses when the window is painted with the image's mean colour (100 times the passes of the score).

    The same goes for comparators and images of any size. For larger images the map of HSCL is the first-order estimate
    of the same in feature space. With the features ``f`` of a stage of the encoder at place ``p``, their mean ``m``
    over the image and the anomaly score ``a``, it is ``(f_p - m) . da/df_p``. Each stage's map is enlarged to the image
    and divided by its standard deviation, and the maps are added. A score with several turns of the image, or its
    corners, is differentiated through all of them.

    Random crops, as of the score ``released``, are not looked at: a score of those only is replaced by ``paper``.

    Parameters
    ----------
    scorer
        The calibrated score, or the trained comparator.
    images
        uint8 ``[n, H, W, 3]``, square and of the size that the network was trained on.
    advance
        Called with the number of images of every batch.

    Returns
    -------
    float32 ``[n, H, W]``
        Higher where the image looks more anomalous; about 0 or below elsewhere. The scale is the image's own, so that
        the maps of two images are not comparable.
    """
    if isinstance(scorer, Scoring):
        scorer = scorer.without_crops()
    if _is_large(scorer):
        found = list(_gradient_maps(scorer, images, advance))
    else:
        found = list(_occlusion_maps(scorer, images, advance))
    return np.concatenate(found) if found else np.zeros((0, *images[:0].shape[1:3]), np.float32)


def _occlusion_maps(scorer: ImageScorer, images: ImageSequence, advance: Advance) -> Iterator[HeatMaps]:
    side = images[:0].shape[1]
    step = side // _STEPS
    width = _WIDTH * step
    starts = range(step - width, side, step)
    windows = [
        (slice(max(top, 0), top + width), slice(max(left, 0), left + width)) for top in starts for left in starts
    ]
    covered = np.zeros((side, side), np.float32)
    for window in windows:
        covered[window] += 1
    for batch in slices(images, max(1, _OCCLUDED // len(windows))):
        occluded = np.repeat(batch[:, None], len(windows), axis=1)
        colour = np.rint(batch.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
        for place, (rows, columns) in enumerate(windows):
            occluded[:, place, rows, columns] = colour
        scores = scorer.score(occluded.reshape(-1, *batch.shape[1:])).reshape(len(batch), -1)
        gained = (scores - scorer.score(batch)[:, None]).astype(np.float32)  # of normality
        maps = np.zeros(batch.shape[:3], np.float32)
        for place, window in enumerate(windows):
            maps[:, *window] += gained[:, place, None, None]
        yield maps / covered
        advance(len(batch))


def _gradient_maps(scoring: Scoring, images: ImageSequence, advance: Advance) -> Iterator[HeatMaps]:
    with _recorded_stages(scoring.network.encoder) as stages:
        batches = slices(images, max(1, _BATCH // scoring.passes))
        for batch in on_device(batches, scoring.execution.device, advance):
            yield _of_batch(scoring, batch, stages).cpu().numpy()


@contextmanager
def _recorded_stages(encoder: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Yield a dictionary that the encoder's forward pass fills with the output of each of its stages."""
    outputs: dict[str, Tensor] = {}
    infos: Any = getattr(encoder, "feature_info", None) or ()
    names = {info["module"] for info in infos if isinstance(info, dict)}
    modules = [(name, module) for name, module in encoder.named_modules() if name in names]

    def record(name: str) -> Any:
        return lambda module, inputs, output: outputs.__setitem__(name, output)

    handles = [module.register_forward_hook(record(name)) for name, module in modules]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode(False)
@torch.enable_grad()
def _of_batch(scoring: Scoring, images: Tensor, stages: dict[str, Tensor]) -> Tensor:
    """Return the maps float32 ``[B, H, W]`` of images uint8 ``[B, H, W, 3]``."""
    stages.clear()
    normality, views = scoring.differentiable(images)
    maps = [output for output in stages.values() if _is_map(output, views)] or [views]
    gradients = torch.autograd.grad(-normality.sum(), maps)
    size = images.shape[1:3]
    total = torch.zeros(len(views), *size, device=images.device)
    for output, gradient in zip(maps, gradients, strict=True):
        deviation = output.detach() - output.detach().mean(dim=(2, 3), keepdim=True)
        effect = (deviation * gradient).sum(dim=1, keepdim=True).float()
        enlarged = functional.interpolate(effect, size=size, mode="bilinear", align_corners=False)[:, 0]
        spread = enlarged.std(dim=(1, 2), keepdim=True)
        total += enlarged / spread.clamp_min(torch.finfo(torch.float32).tiny)
    return scoring.views.placed(total.unflatten(0, (-1, len(images))))


def _is_map(output: object, views: Tensor) -> bool:
    """Whether a stage's output is features by place, ``[N, C, h, w]``, that are fine enough and not of one place."""
    if not isinstance(output, Tensor) or output.dim() != 4 or output.shape[2] != output.shape[3]:
        return False
    side = output.shape[3]
    return len(output) == len(views) and side > 1 and side * _COARSEST >= views.shape[3]
