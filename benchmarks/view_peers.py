"""The peers of ``augment_views``: the released layers, torchvision and kornia, called as their users would."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from hscl_kernels import ViewParameters, augment_views
from torch import Tensor

from benchmarks import released_views
from benchmarks.interleave import Variant
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.method.augment import ROTATIONS, VIEWS, draw_views

OURS = "augment_views"
OURS_DRAWN = "augment_views, with its draws"
RELEASED = "released layers, eager"
PER_IMAGE = "torchvision v2, image by image"
BATCHED = "torchvision v2, one draw per batch"
KORNIA = "kornia"
CPU = torch.device("cpu")
_MEAN = _STD = 0.5


class ViewBatch(NamedTuple):
    """uint8 ``images [B, H, W, 3]`` and the parameters of their 8 B views, one order of jitter for all as released."""

    images: Tensor
    parameters: ViewParameters


def make_view_batch(images: int, side: int, device: torch.device) -> ViewBatch:
    """Return smooth random images: noise of single pixels would make every rounding of a coordinate count."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(images, 3, 8, 8, generator=random)
    fine = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)
    pixels = (fine.permute(0, 2, 3, 1) * 255).to(torch.uint8).contiguous().to(device)
    parameters = _draw(pixels, 0)
    return ViewBatch(pixels, parameters._replace(contrast_first=torch.ones_like(parameters.contrast_first)))


def _draw(images: Tensor, number: int) -> ViewParameters:
    size = (images.shape[1], images.shape[2])
    indices = torch.arange(len(images), device=images.device)
    seed, step = (torch.tensor(value, device=images.device) for value in (0, number))
    return draw_views(AugmentConfig(), indices, seed=seed, step=step, size=size)


def _ours(batch: ViewBatch) -> Callable[[], Tensor]:
    return lambda: augment_views(batch.images, batch.parameters, mean=_MEAN, std=_STD)


def _ours_drawn(batch: ViewBatch) -> Callable[[], Tensor]:
    return lambda: augment_views(batch.images, _draw(batch.images, 1), mean=_MEAN, std=_STD)


def _released(batch: ViewBatch) -> Callable[[], Tensor]:
    return lambda: (released_views.augment(batch.images, batch.parameters) - _MEAN) / _STD


def _torchvision(batch: ViewBatch, *, batched: bool) -> Callable[[], Tensor]:
    from torchvision.transforms import v2  # here, since importing it takes seconds

    side = batch.images.shape[1]
    jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
    crop = v2.RandomResizedCrop(side, scale=(0.08, 1.0), antialias=False)
    scale = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([_MEAN] * 3, [_STD] * 3)]
    transform = v2.Compose([v2.RandomHorizontalFlip(), jitter, v2.RandomGrayscale(0.2), crop, *scale])
    planes = batch.images.permute(0, 3, 1, 2).contiguous()

    def views() -> Tensor:
        turned = [torch.rot90(planes, k, (2, 3)) for _ in range(VIEWS) for k in range(ROTATIONS)]
        if batched:
            return torch.cat([transform(part) for part in turned])
        return torch.stack([transform(image) for part in turned for image in part])

    return views


def _kornia(batch: ViewBatch) -> Callable[[], Tensor]:
    import kornia.augmentation as K

    side = batch.images.shape[1]
    transform = K.AugmentationSequential(
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.RandomResizedCrop((side, side), scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
        K.Normalize(_MEAN, _STD),
        data_keys=["input"],
    )
    planes = batch.images.permute(0, 3, 1, 2).contiguous()

    def views() -> Tensor:
        turned = [torch.rot90(planes, k, (2, 3)) for _ in range(VIEWS) for k in range(ROTATIONS)]
        return transform(torch.cat(turned).float() / 255)

    return views


VIEW_PEERS: dict[str, Callable[[ViewBatch], Callable[[], Tensor]]] = {
    OURS: _ours,
    OURS_DRAWN: _ours_drawn,
    RELEASED: _released,
    PER_IMAGE: lambda batch: _torchvision(batch, batched=False),
    BATCHED: lambda batch: _torchvision(batch, batched=True),
    KORNIA: _kornia,
}


def build_views(name: str, size: tuple[int, int], device: torch.device = CPU) -> Variant:
    """Return a variant that renders the views of ``size`` = (images, side in pixels); nothing is done backward."""
    return Variant(VIEW_PEERS[name](make_view_batch(*size, device)), lambda views: None)
