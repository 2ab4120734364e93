"""Images and view parameters for the tests of ``augment_views``, and the error budget of its forms."""

from pathlib import Path

import numpy as np
import torch
from hscl_kernels import ViewParameters, augment_views

GOLDEN = Path(__file__).parents[1] / "golden" / "released_augment_a.npz"


def load_golden():
    """The recorded inputs and outputs of the released layers."""
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def golden_parameters(golden):
    """The parameters of ``pipeline_out``."""
    names = ("flip", "rotation", "jitter", "contrast_first", "hue", "saturation", "value", "contrast", "gray")
    rows = torch.arange(len(golden["images"]))
    never = torch.zeros_like(golden["flip"])
    return ViewParameters(rows, *(golden[name] for name in names), golden["crop_whbias"], never)


def make_images(count, height, width, channels, *, seed=0):
    """Noise, and beside it what colour arithmetic trips over: black, white, one colour, grey, a single bright pixel."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, height, width, channels), dtype=torch.uint8, generator=generator)
    hostile = torch.zeros(5, height, width, channels, dtype=torch.uint8)
    hostile[1] = 255
    hostile[2] = torch.tensor([200, 0, 40], dtype=torch.uint8)[:channels]
    hostile[3] = torch.arange(width, dtype=torch.uint8)[None, :, None]
    hostile[4, height // 2, width // 2] = 255
    return torch.cat((images, hostile))[:count] if count <= 5 else torch.cat((images[:-5], hostile))


def make_parameters(rows, images, *, crop_first=None, seed=0):
    """Rows of every kind in a mixed order; some crops reach far beyond the image, so that mirroring shows."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(rows, *shape, generator=generator)

    def chance():
        return torch.rand(rows, generator=generator) < 0.5

    return ViewParameters(
        image=torch.randint(0, images, (rows,), generator=generator),
        flip=chance(),
        rotation=torch.randint(-4, 8, (rows,), generator=generator),
        jitter=chance() | chance(),
        contrast_first=chance(),
        hue=uniform(-1.5, 1.5),
        saturation=uniform(0, 2),
        value=uniform(0, 2),
        contrast=uniform(0, 2),
        gray=chance() & chance(),
        crop=torch.cat((uniform(0.05, 1.5, 2), uniform(-1.5, 1.5, 2)), dim=1),
        crop_first=chance() if crop_first is None else torch.full((rows,), crop_first),
    )


def assert_within_budget(images, parameters, backend, **options):
    """err(form) <= 2 err(the float32 reference) + a few roundings, against the float64 reference."""
    truth = augment_views(images, parameters, dtype=torch.float64, backend="reference", **options)
    eager = augment_views(images, parameters, backend="reference", **options)
    fast = augment_views(images, parameters, backend=backend, **options)
    assert fast.dtype == torch.float32
    assert fast.shape == truth.shape
    assert fast.is_contiguous(memory_format=torch.channels_last)
    mine, theirs = (fast - truth).abs().max().item(), (eager - truth).abs().max().item()
    assert mine <= 2 * theirs + 4e-6, f"{mine:.2e}, eager {theirs:.2e}"
