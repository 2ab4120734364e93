"""``draw_view_parameters`` for some images: the parameters in any form, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hscl_kernels.backends import Backend
from hscl_kernels.draws.op import draw_view_parameters

_ROUNDING = 1e-7  # far below a step of any parameter: forms draw the same numbers


@dataclass(frozen=True)
class DrawsProblem:
    """So many images of ``size`` (H, W), and the rotations of each. There are no gradients, and no dtypes."""

    images: int
    size: tuple[int, int]
    rotations: int

    def rounded(self, dtype: torch.dtype) -> DrawsProblem:
        """Return the problem itself: its inputs are integers."""
        return self

    def prepare(self, backend: Backend, dtype: torch.dtype, device: torch.device) -> Callable[[], dict[str, Tensor]]:
        """Return a function that draws on ``device``."""
        indices = torch.arange(self.images, device=device) * (2**32 // self.images)
        seed, step = (torch.tensor(number, device=device) for number in (2**40 + 3, 2**33 + 5))

        def draw() -> dict[str, Tensor]:
            drawn = draw_view_parameters(
                indices, seed=seed, step=step, size=self.size, rotations=self.rotations, backend=backend
            )
            return drawn._asdict()

        return draw

    def errors(self, found: dict[str, Tensor], exact: dict[str, Tensor]) -> dict[str, float]:
        """Return the largest difference in each field."""
        return {name: (field.cpu().double() - exact[name].double()).abs().max().item() for name, field in found.items()}

    def roundings(self, name: str, dtype: torch.dtype, works_in: torch.dtype) -> float:
        """Return the error that is allowed in any case."""
        return _ROUNDING
