"""The released code's augmentation, written out in the eager steps its layers take; the views are ``augment_views``'s.

Their per-step sampling of random numbers is left out, in their favour: every layer gets its draws as tensors.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from hscl_kernels import ViewParameters
from torch import Tensor

_HUE_UNIT = 255 / 360


def augment(images: Tensor, parameters: ViewParameters, rotations: int = 4) -> Tensor:
    """Return the views ``[rows, 3, H, W]`` in [0, 1] of uint8 ``images [B, H, W, 3]``, rows in row order.

    Flip each image of each view, put its four turns side by side, then jitter, grey and crop all rows.
    """
    batch = len(images)
    views = len(parameters.image) // (rotations * batch)
    x = images.permute(0, 3, 1, 2).float().contiguous() / 255
    upright = parameters.flip.view(views, rotations, batch)[:, 0]
    pairs = [_flip(x, flips) for flips in upright]
    x = torch.cat([torch.rot90(pair, k, (2, 3)) for pair in pairs for k in range(rotations)])
    return _crop(_gray(_jitter(x, parameters), parameters.gray), parameters.crop)


def _flip(x: Tensor, flip: Tensor) -> Tensor:
    theta = torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)
    theta[:, 0, 0] = 1 - 2 * flip.float()
    return _sample(x, theta)


def _sample(x: Tensor, theta: Tensor) -> Tensor:
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _jitter(x: Tensor, parameters: ViewParameters) -> Tensor:
    """One order for the whole batch, as released; rows without jitter are mixed back in by a mask."""
    if parameters.contrast_first[0]:
        y = _hsv(_contrast(x, parameters.contrast), parameters)
    else:
        y = _contrast(_hsv(x, parameters), parameters.contrast)
    mask = parameters.jitter[:, None, None, None].float()
    return x * (1 - mask) + y * mask


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    means = x.mean(dim=(2, 3), keepdim=True)
    return torch.clamp((x - means) * factor.view(-1, 1, 1, 1) + means, 0, 1)


def _hsv(x: Tensor, parameters: ViewParameters) -> Tensor:
    hsv = _rgb_to_hsv(x)
    hsv[:, 0] = (hsv[:, 0] + (parameters.hue * _HUE_UNIT).view(-1, 1, 1)) % 1
    hsv[:, 1] = hsv[:, 1] * parameters.saturation.view(-1, 1, 1)
    hsv[:, 2] = hsv[:, 2] * parameters.value.view(-1, 1, 1)
    return _hsv_to_rgb(torch.clamp(hsv, 0, 1))


def _rgb_to_hsv(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    highest, lowest = rgb.max(1)[0], rgb.min(1)[0]
    hue = torch.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue)
    hue = (hue % (2 * math.pi)) / (2 * math.pi)
    hsv = torch.stack([hue, 1 - lowest / highest, highest], dim=1)
    hsv[~torch.isfinite(hsv)] = 0.0
    return hsv


def _hsv_to_rgb(hsv: Tensor) -> Tensor:
    hue, saturation, value = hsv.unbind(1)
    chroma = (value * saturation)[:, None]
    places = hsv.new_tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1)
    k = (places + hue[:, None] * 6) % 6
    t = torch.clamp(torch.min(k, 4 - k), 0, 1)
    return value[:, None] - chroma * t


def _gray(x: Tensor, gray: Tensor) -> Tensor:
    weights = x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    luma = F.conv2d(x, weights)
    mask = gray[:, None, None, None].float()
    return x * (1 - mask) + torch.cat([luma, luma, luma], dim=1) * mask


def _crop(x: Tensor, crop: Tensor) -> Tensor:
    theta = torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2], theta[:, 1, 2] = crop.unbind(1)
    return _sample(x, theta)
