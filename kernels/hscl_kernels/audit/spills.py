"""What is known to spill: no tile that was tried compiles without, and the tables have one that spills little.

It is slower there, not wrong. All of it is on RDNA, where a thread may have 256 registers: at D = 256 the operands of a
product take them all, in float32, and on gfx11, whose matrix instructions want every operand twice, in 16 bits.
"""

from __future__ import annotations

from typing import NamedTuple

from hscl_kernels.audit.cases import Case
from hscl_kernels.audit.recording import Launch


class Spill(NamedTuple):
    """A kernel on a target, in a dtype and at a width of the features."""

    kernel: str
    target: str
    dtype: str
    width: int | None


KNOWN = frozenset(
    {
        *(
            Spill(kernel, "gfx1100", dtype, 256)
            for kernel, dtype in (
                ("sweep_forward_kernel", "bf16"),
                ("sweep_forward_to_losses_kernel", "bf16"),
                ("sweep_forward_to_losses_kernel", "fp32"),
            )
        ),
        *(
            Spill(kernel, target, "fp32", width)
            for target in ("gfx1100", "gfx1201")
            for kernel, width in (
                ("sweep_forward_kernel", 256),
                ("sweep_forward_online_kernel", 256),
                ("sweep_backward_kernel", 128),
                ("sweep_backward_kernel", 256),
                ("sweep_backward_online_kernel", 256),
            )
        ),
    }
)


def spill_of(case: Case, launched: Launch) -> Spill:
    """Return what a launch would be listed as."""
    return Spill(launched.kernel, launched.target, case.dtype, launched.constants.get("WIDTH"))
