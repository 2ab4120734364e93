"""The view pipeline in plain PyTorch: flip, rotate, jitter, grey, crop. The oracle of the fast forms.

Source: the augmentation layers of CSI, which the released HSCL code uses, in their order.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hscl_kernels.views.parameters import ViewParameters

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
HUE_UNIT = 255 / 360


def augment_views(
    images: Tensor, parameters: ViewParameters, *, dtype: torch.dtype, mean: list[float], std: list[float]
) -> Tensor:
    """Return ``[rows, C, H, W]``, channels_last, as :func:`hscl_kernels.augment_views` describes it."""
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    x = images[parameters.image].permute(0, 3, 1, 2).to(exact) / 255  # [rows, C, H, W]
    channels = x.shape[1]
    x = x.expand(-1, 3, -1, -1)  # grey is red, green and blue alike
    x = torch.where(_per_row(parameters.flip), x.flip(3), x)
    # Colours do not depend on the place of a pixel, so they may be adjusted before the turn.
    late = colours(x, parameters)
    turned = _turn_and_crop(torch.where(_per_row(parameters.crop_first), x, late), parameters)
    views = torch.where(_per_row(parameters.crop_first), colours(turned, parameters), turned)
    centre, spread = (torch.tensor(values, dtype=exact, device=x.device)[:, None, None] for values in (mean, std))
    return ((views[:, :channels] - centre) / spread).to(dtype).contiguous(memory_format=torch.channels_last)


def colours(x: Tensor, parameters: ViewParameters) -> Tensor:
    """Return ``x [rows, 3, H, W]`` in [0, 1] after jitter and grey, for the rows that ask for them."""
    jittered = colour_jitter(x, parameters)
    return torch.where(_per_row(parameters.gray), to_gray(jittered), jittered)


def colour_jitter(x: Tensor, parameters: ViewParameters) -> Tensor:
    """Return ``x [rows, 3, H, W]`` in [0, 1] after contrast and HSV jitter, in the order that each row requires."""
    contrast_first = _per_row(parameters.contrast_first)
    y = torch.where(contrast_first, adjust_contrast(x, parameters.contrast), x)
    y = adjust_hsv(y, parameters.hue, parameters.saturation, parameters.value)
    y = torch.where(contrast_first, y, adjust_contrast(y, parameters.contrast))
    return torch.where(_per_row(parameters.jitter), y, x)


def adjust_contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Return (x - mean) * factor + mean, clamped to [0, 1], the mean over each row's channel."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    return ((x - mean) * _per_row(factor).to(x.dtype) + mean).clamp(0, 1)


def adjust_hsv(x: Tensor, hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return ``x [rows, 3, H, W]`` with its hue turned by ``hue * 255 / 360`` and saturation and value scaled."""
    h, s, v = _rgb_to_hsv(x)
    h = (h + hue[:, None, None].to(x.dtype) * HUE_UNIT) % 1
    s = (s * saturation[:, None, None].to(x.dtype)).clamp(0, 1)
    v = (v * value[:, None, None].to(x.dtype)).clamp(0, 1)
    return _hsv_to_rgb(h.clamp(0, 1), s, v)


def to_gray(x: Tensor) -> Tensor:
    """Return the luma of ``x [rows, 3, H, W]`` in all three channels."""
    luma = LUMA[0] * x[:, 0] + LUMA[1] * x[:, 1] + LUMA[2] * x[:, 2]
    return luma[:, None].expand_as(x)


def resized_crop(x: Tensor, crop: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``x [rows, 3, h, w]`` sampled bilinearly over each row's crop, mirrored at the border, as ``size``."""
    theta = crop.new_zeros(crop.shape[0], 2, 3, dtype=x.dtype)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2], theta[:, 1, 2] = crop.to(x.dtype).unbind(1)
    grid = F.affine_grid(theta, [*x.shape[:2], *size], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _turn_and_crop(x: Tensor, parameters: ViewParameters) -> Tensor:
    """Turn by quarters, then crop to ``[rows, 3, H, W]``: an oblong image on its side is stretched to fit."""
    half = torch.where(_per_row(parameters.rotation % 4 >= 2), torch.rot90(x, 2, (2, 3)), x)
    quarter = torch.rot90(half, 1, (2, 3))  # [rows, 3, W, H]
    odd, size = _per_row(parameters.rotation % 2 == 1), (x.shape[2], x.shape[3])
    if half.shape == quarter.shape:
        return resized_crop(torch.where(odd, quarter, half), parameters.crop, size)
    upright = resized_crop(half, parameters.crop, size)
    return torch.where(odd, resized_crop(quarter, parameters.crop, size), upright)


def _rgb_to_hsv(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue by atan2 (in turns), saturation and value, ``[rows, H, W]`` each; black has saturation 0."""
    red, green, blue = x.unbind(1)
    highest, lowest = x.amax(1), x.amin(1)
    hue = torch.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue)
    hue = (hue % (2 * math.pi)) / (2 * math.pi)
    saturation = torch.where(highest > 0, (highest - lowest) / torch.where(highest > 0, highest, 1.0), 0.0)
    return hue, saturation, highest


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    chroma = value * saturation
    channels = []
    for n in (5, 3, 1):
        k = (n + hue * 6) % 6
        channels.append(value - chroma * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(channels, dim=1)


def _per_row(field: Tensor) -> Tensor:
    return field[:, None, None, None]
