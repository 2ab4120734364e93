"""Pillow's antialiased bilinear resize as two matrix products, bit for bit, for any size of the images."""

from __future__ import annotations

import torch
from torch import Tensor

# Pillow's weights of 8-bit images are whole numbers of this part, and so are its sums before they are rounded.
_UNIT = 1 << 22


def resize(images: Tensor, size: int) -> Tensor:
    """Return images of any size as squares, as :func:`hscl_fast.data.decode.resize_images` does.

    Rows are shrunk first, and rounded to whole grey levels before the columns are. In float64 the products of whole
    numbers and their sums are exact, so that they are Pillow's in whatever order a runtime adds them up.

    Parameters
    ----------
    images
        uint8 ``[B, H, W, 3]``.
    size
        S, the side in pixels.

    Returns
    -------
    Tensor
        float32 ``[B, 3, S, S]`` of whole numbers from 0 to 255.
    """
    planes = images.permute(0, 3, 1, 2).double()
    rows = _rounded(planes @ _weights(planes, 3, size).T)  # [B, 3, H, S]
    return _rounded(_weights(planes, 2, size) @ rows).float()


def _weights(planes: Tensor, dimension: int, size: int) -> Tensor:
    """Return the share of every pixel in every resized one, in Pillow's units: float64 ``[size, pixels]``."""
    pixels = planes.shape[dimension]
    # The number of pixels as a tensor: what is computed from it is then computed by the model, for each size anew.
    places = torch.arange(pixels, dtype=torch.float64, device=planes.device)
    scale = (places[-1:] + 1) / size  # pixels per resized pixel
    reach = scale.clamp(min=1)
    centres = (torch.arange(size, dtype=torch.float64, device=planes.device)[:, None] + 0.5) * scale
    first = (centres - reach + 0.5).clamp(min=0).floor()
    last = (centres + reach + 0.5).floor()
    # The order of the operations is Pillow's; another one rounds differently.
    distance = ((places - first) + first - centres + 0.5) * (1 / reach)
    shares = (1 - distance.abs()).clamp(min=0)
    shares = torch.where((places >= first) & (places < last), shares, 0.0)
    return (shares / shares.sum(dim=1, keepdim=True) * _UNIT + 0.5).floor()


def _rounded(sums: Tensor) -> Tensor:
    return ((sums + _UNIT // 2) / _UNIT).floor().clamp(0, 255)
