"""Strong views: a weak view, then two operations of RandAugment or a policy of AutoAugment, and a square cut out."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch
from hscl_kernels import augment_views
from hscl_kernels.philox import random_uniforms
from torch import Tensor
from torchvision.transforms import v2

from hscl_fast.comparators.blocks.weak_views import draw_weak_views

Policy = Literal["randaugment", "autoaugment"]

_STREAM = 17  # of the counter-based generator
_GREY = 127
_CUT = 1 / 2  # of the side: 16 of 32 pixels


def strong_views(
    images: Tensor, indices: Tensor, *, policy: Policy, seed: Tensor, step: Tensor, views: int = 1
) -> Tensor:
    """Return strong views.

    Each is a weak one (:func:`draw_weak_views`) under torchvision's transformation, with a grey square of half the side
    at a random place, cut off by the border.

    torchvision transforms one image after the other on the CPU, so this waits for the device.

    Parameters
    ----------
    images
        uint8 ``[B, S, S, 3]``.
    indices
        int64 ``[B]``, of the images in the training set. A view is a pure function of seed, step, index and number.
    policy
        ``randaugment``: two operations (Cubuk et al., 2020). ``autoaugment``: that for CIFAR-10 (Cubuk et al., 2019).
    seed, step
        int64 scalars on the images' device.
    views
        V, views of every image.

    Returns
    -------
    Tensor
        uint8 ``[V * B, S, S, 3]``, view by view, on the images' device.
    """
    side = images.shape[1]
    weak = draw_weak_views(indices, seed=seed, step=step, side=side, views=views)
    pixels = augment_views(images, weak, mean=0.0, std=1 / 255).round().to("cpu", torch.uint8)  # [V * B, 3, S, S]
    transform = _transform(policy)
    numbers, key = indices.tolist(), f"{int(seed)} {int(step)}"
    transformed = []
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's own generator
        for row, view in enumerate(pixels):
            copy, place = divmod(row, len(numbers))
            digest = hashlib.blake2b(f"{key} {numbers[place]} {copy}".encode(), digest_size=8).digest()
            torch.manual_seed(int.from_bytes(digest, "big") >> 1)
            transformed.append(transform(view))
    strong = torch.stack(transformed).permute(0, 2, 3, 1).to(images.device)
    copies = torch.arange(views, device=indices.device).repeat_interleave(len(indices))
    cut = _squares(indices.repeat(views), copies, seed=seed, step=step, side=side)
    return torch.where(cut[..., None], _GREY, strong).contiguous()


def _transform(policy: Policy) -> v2.Transform:
    if policy == "randaugment":
        return v2.RandAugment(num_ops=2, fill=_GREY)
    return v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=_GREY)


def _squares(indices: Tensor, copies: Tensor, *, seed: Tensor, step: Tensor, side: int) -> Tensor:
    """Return which pixels are cut out, bool ``[rows, S, S]``: a square whose centre is anywhere in the image."""
    corners = (side * random_uniforms(seed, step, indices, copies, 2, stream=_STREAM)).floor() - (_CUT * side) // 2
    along = torch.arange(side, device=indices.device)
    inside = (along >= corners[..., None]) & (along < corners[..., None] + round(_CUT * side))  # [2, rows, S]
    return inside[0][:, :, None] & inside[1][:, None, :]
