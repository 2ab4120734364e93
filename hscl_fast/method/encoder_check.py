"""Checks that an encoder can take images of a size, and that it looks at all of their pixels."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from hscl_fast.errors import UsageError

_SMALLEST, _LARGEST = 8, 1024  # pixels
_REACH = 64  # pixels up and down in which another size is looked for


def require_whole_image(encoder: nn.Module, name: str, size: int) -> None:
    """Refuse an encoder that fails on images of ``size`` pixels or ignores a part of them.

    Networks that cut an image into patches ignore what is left over at its border: at 40 pixels and patches of 16
    that is 36 % of the pixels. The gradient of the features says which pixels count.

    Parameters
    ----------
    encoder
        From images ``[n, 3, H, W]`` to features; it stays as it is.
    name
        Of the encoder, for the error.
    size
        Side of the images in pixels.

    Raises
    ------
    UsageError
        The message names the next sizes that work, where there are any near.
    """
    probe = copy.deepcopy(encoder).eval()
    with torch.no_grad():
        for parameter in probe.parameters():
            if not parameter.any():  # a branch that begins at zero would hide the pixels it looks at
                parameter.fill_(1.0)
    patch = getattr(getattr(encoder, "patch_embed", None), "patch_size", None)
    problem = None
    try:
        used = _used(probe, size)
        if used < 1:
            problem = f"ignores {1 - used:.0%} of the pixels of images of {size} pixels, those at the border"
    except Exception as error:  # whatever a layer meets that has too few pixels
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        problem = f"cannot take images of {size} pixels ({reason})"
    if problem is None:
        return
    sizes = _next_patch_sizes(size, max(patch)) if isinstance(patch, tuple) else _next_sizes(probe, size)
    advice = f"--data.image_size {' or '.join(map(str, sizes))}" if sizes else "another --data.image_size"
    raise UsageError(f"--model.encoder {name!r} {problem}. Give {advice}, or another encoder.")


def _used(encoder: nn.Module, size: int) -> float:
    """Return the share of the pixels within the rows and columns that the features depend on."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, size, size, generator=generator, requires_grad=True)
    with torch.enable_grad(), torch.inference_mode(False):
        features: Tensor = encoder(image)
        weights = torch.randn(features.shape, generator=generator)
        (gradient,) = torch.autograd.grad((features * weights).sum(), image)
    depends = gradient[0].abs().sum(0) > 0  # [H, W]
    return float(depends.any(0).double().mean() * depends.any(1).double().mean())


def _next_patch_sizes(size: int, patch: int) -> list[int]:
    near = (size // patch * patch, -(-size // patch) * patch)
    return [side for side in near if _SMALLEST <= side <= _LARGEST]


def _next_sizes(encoder: nn.Module, size: int) -> list[int]:
    """Return the nearest smaller and the nearest larger size of which the encoder uses every pixel."""
    found = []
    for step in (-1, 1):
        for side in range(size + step, size + step * (_REACH + 1), step):
            try:
                if _SMALLEST <= side <= _LARGEST and _used(encoder, side) == 1:
                    found.append(side)
                    break
            except Exception:  # a size that the encoder was not built for
                continue
    return found
