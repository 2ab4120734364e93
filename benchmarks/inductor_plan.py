"""Which kernels Inductor would generate for a step, and the bytes they move: read from its plan, nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch._inductor.graph import GraphLowering
from torch._inductor.scheduler import ExternKernelSchedulerNode, NopKernelSchedulerNode


class Plan(NamedTuple):
    """``generated``: the bytes of each fused kernel; ``called``: library kernels and operations of ours, by name."""

    generated: list[int]
    called: list[str]


class _Planned(BaseException):
    """Ends compiling before any code is built; a BaseException, which the compiler does not turn into its own."""


def plan(compiled_step: Callable[[], object]) -> Plan:
    """Return the plan of the graph that a compiled step's first call makes; the step does not run.

    The plan is that for the device of the step's tensors: on the CPU the scheduler fuses by its rules for the CPU.
    """
    seen: list[Any] = []

    def stop(graph: Any) -> None:
        graph.codegen()
        seen.extend((node, node.get_read_write_buffers_sizes()) for node in graph.scheduler.nodes)
        raise _Planned

    torch._dynamo.reset()
    uncached = torch._inductor.config.patch(fx_graph_cache=False)
    with patch.object(GraphLowering, "_compile_to_module", stop), uncached, suppress(_Planned):
        compiled_step()
    torch._dynamo.reset()
    called = [node.node for node, _ in seen if isinstance(node, ExternKernelSchedulerNode)]
    others = (ExternKernelSchedulerNode, NopKernelSchedulerNode)
    return Plan(
        [size for node, size in seen if not isinstance(node, others)],
        [kernel.python_kernel_name for kernel in called if kernel.python_kernel_name],  # without one: a call's outputs
    )
