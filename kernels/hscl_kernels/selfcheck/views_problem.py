"""``augment_views`` on fixed images: the views in any form, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hscl_kernels.backends import Backend
from hscl_kernels.views.op import augment_views
from hscl_kernels.views.parameters import ViewParameters

# Of views that span [-1, 1]: a few roundings of float32, or one of a half dtype.
TINY = {torch.float64: 1e-11, torch.float32: 4e-6, torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}
_SIDE = 32  # pixels; TINY is for images up to this side


@dataclass(frozen=True)
class ViewsProblem:
    """Images and the parameters of their views. There are no gradients."""

    images: Tensor
    parameters: ViewParameters
    options: dict[str, Any] = field(default_factory=dict)

    def rounded(self, dtype: torch.dtype) -> ViewsProblem:
        """Return the problem itself: its inputs are integers and float32."""
        return self

    def prepare(self, backend: Backend, dtype: torch.dtype, device: torch.device) -> Callable[[], dict[str, Tensor]]:
        """Return a function that renders the views in ``dtype`` from images that lie on ``device``."""
        images = self.images.to(device)
        parameters = ViewParameters(*(field.to(device) for field in self.parameters))
        return lambda: {"views": augment_views(images, parameters, dtype=dtype, backend=backend, **self.options)}

    def errors(self, found: dict[str, Tensor], exact: dict[str, Tensor]) -> dict[str, float]:
        """Return the largest error of a pixel; views span a range of about 2."""
        return {"views": (found["views"].cpu().double() - exact["views"]).abs().max().item()}

    def roundings(self, name: str, dtype: torch.dtype, works_in: torch.dtype) -> float:
        """Return the error that is allowed in any case.

        A pixel's place is rounded in proportion to the image's side, and its neighbours may be black and white.
        """
        computes_in = torch.float32 if dtype.itemsize == 2 else dtype
        sides = max(1.0, max(self.images.shape[1:3]) / _SIDE)
        return max(TINY[dtype], TINY[computes_in] * sides)
