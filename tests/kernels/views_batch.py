"""The released layers' recorded views, and the error budget of ``augment_views``."""

from pathlib import Path

import interpreter  # noqa: F401 (makes the interpreter faster)
import numpy as np
import torch
from hscl_kernels import ViewParameters, augment_views
from hscl_kernels.selfcheck.budget import hold
from hscl_kernels.selfcheck.views_problem import ViewsProblem

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


def assert_within_budget(images, parameters, backend, **options):
    """Hold the float32 views of a form to the self-check's budget, and their dtype, shape and layout."""
    (value,) = hold(ViewsProblem(images, parameters, options), "views", backend, torch.float32, images.device)
    assert value.share <= 1, value
    views = augment_views(images, parameters, backend=backend, **options)
    _, height, width, channels = images.shape
    assert views.dtype == torch.float32
    assert views.shape == (len(parameters.image), channels, height, width)
    assert views.is_contiguous(memory_format=torch.channels_last)
