"""A program: what torch.compile makes of the operations for an H100 that is not here, printed as JSON.

Kernels are only compiled where they are not interpreted, as they are in the process of the tests. Nothing is run.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from hscl_kernels import launch
from hscl_kernels.audit import cases
from hscl_kernels.audit.recording import PretendDriver, record
from hscl_kernels.contrast.op import _hscl_loss, _hscl_loss_backward
from hscl_kernels.draws.distribution import ViewDistribution
from hscl_kernels.draws.op import _draw_view_parameters
from hscl_kernels.views.op import _augment_views
from torch import Tensor
from torch._functorch.aot_autograd import aot_export_joint_simple
from torch._higher_order_ops import triton_kernel_wrap
from torch._inductor import config
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.graph import GraphLowering
from torch._inductor.runtime.hints import DeviceProperties
from torch._inductor.virtualized import V
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from triton.runtime import driver

TARGET = "sm_90"
FEW, MANY = 2048, 8192  # rows: on an H100, those of one forward launch fewer, and others


@contextmanager
def on_target() -> Iterator[None]:
    """Choose launches as on the target, and let Triton read kernels for it."""
    driver.set_active(PretendDriver(TARGET))
    with launch.assumed(TARGET):
        yield


def traced(case: cases.Case) -> dict[str, Any]:
    """The kernels that a trace of a case sees, what each is found to write, and those of the eager case."""
    seen: list[tuple[str, list[str]]] = []
    find = triton_kernel_wrap.get_mutated_tensors

    def look(kernel_index: int, *rest: Any) -> list[str]:
        written = find(kernel_index, *rest)
        kernel: Any = triton_kernel_wrap.kernel_side_table.get_kernel(kernel_index)
        while not hasattr(kernel, "params"):
            kernel = kernel.fn
        seen.append((kernel.fn.__name__, sorted(written)))
        return written

    eager = [one.kernel for one in record(case, TARGET)]
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    with mock.patch.object(triton_kernel_wrap, "get_mutated_tensors", look), on_target(), fake, FunctionalTensorMode():
        case.call()
    return {"kernels": [kernel for kernel, _ in seen], "eager": eager, "written": seen}


def some_cases() -> list[cases.Case]:
    """Cases that launch every kernel."""
    online = {"temperature": cases.ONLINE}
    return [
        cases._hscl("few rows", "bf16", 64, 64),
        cases._hscl("many rows", "bf16", MANY, 64),
        cases._hscl("hscl online", "bf16", 64, 64, **online),
        cases._hscl("sharded", "bf16", 64, 64, sharded=True),
        cases._hscl("sharded online", "bf16", 64, 64, sharded=True, **online),
        cases._hscl("multinomial", "bf16", 64, 64, estimator="multinomial"),
        cases._hscl("many prototypes", "bf16", 64, 64, prototypes=256),
        cases._info_nce("info_nce", "bf16", MANY, 64),
        cases._info_nce("info_nce of few rows", "bf16", 64, 64),
        cases._similarity("similarity", "bf16", 64, 64),
        cases._augment("rgb", "bf16", 64, 32),
        cases._draw(64, 4),
    ]


class Generated(BaseException):
    """Ends compiling once the code is there; a BaseException, which the compiler does not turn into its own."""


def generated(function: Callable[..., Sequence[Tensor]], *arguments: Tensor) -> str:
    """The code that Inductor would run on an H100 for a function of fake tensors on a GPU."""
    code: list[str] = []

    def keep(graph: GraphLowering) -> None:
        code.append(graph.codegen()[0].value)
        raise Generated

    card = {"type": "cuda", "index": 0, "multi_processor_count": 132, "cc": 90, "major": 9, "warp_size": 32}
    card |= {"regs_per_multiprocessor": 65536, "max_threads_per_multi_processor": 2048, "max_threads_per_block": 1024}
    patches: dict[str, Any] = {
        "torch.cuda.get_device_properties": lambda *_: SimpleNamespace(**card, minor=0, name="H100"),
        "torch.cuda.get_device_capability": lambda *_: (9, 0),
        "torch.cuda.current_device": lambda: 0,
        "torch._inductor.scheduler.has_triton": lambda *_: True,
        "torch._inductor.compile_fx._check_triton_bf16_support": lambda _: None,
        "torch._dynamo.device_interface.CudaInterface.raise_if_triton_unavailable": lambda *_: None,
    }
    with ExitStack() as stack:
        for name, value in patches.items():
            stack.enter_context(mock.patch(name, value))
        stack.enter_context(mock.patch.object(DeviceProperties, "create", return_value=DeviceProperties(**card)))
        stack.enter_context(mock.patch.object(GraphLowering, "_compile_to_module", keep))
        stack.enter_context(config.patch(fx_graph_cache=False, compile_threads=1))
        stack.enter_context(on_target())
        fake: Any = arguments[0].fake_mode
        with fake, torch.no_grad():
            graph = aot_export_joint_simple(function, arguments, trace_joint=False)
        with V.set_fake_mode(fake), suppress(Generated):
            compile_fx_inner(graph, list(arguments))
    return code[0]


def step(embeddings: Tensor, prototypes: Tensor, ids: Tensor, roles: Tensor) -> tuple[Tensor, ...]:
    """The objective and its gradients, between operations that are not ours."""
    options = (0.5, 1.0, 1.0)
    given = (2 * embeddings, prototypes, ids, roles)
    loss = _hscl_loss(*given, None, *options, 0.4, "triton")
    by_embeddings, by_prototypes = _hscl_loss_backward(loss[0], None, None, None, *given, *loss[5:], *options, "triton")
    return loss[0], 2 * by_embeddings, by_prototypes


def small_step(embeddings: Tensor, prototypes: Tensor, ids: Tensor, roles: Tensor) -> tuple[Tensor, ...]:
    """The total and its gradients times the total, all of it by operations of ours."""
    options, given = (0.5, 1.0, 1.0), (embeddings, prototypes, ids, roles)
    loss = _hscl_loss(*given, None, *options, 0.4, "triton")
    return loss[0], *_hscl_loss_backward(loss[0], None, None, None, *given, *loss[5:], *options, "triton")


def views(indices: Tensor, seed: Tensor, number: Tensor, images: Tensor) -> tuple[Tensor]:
    """Views of a batch of images."""
    own = ViewDistribution()
    numbers = (*own[:-2], list(own.crop_area), list(own.crop_ratio))
    parameters = _draw_view_parameters(indices, seed, number, 32, 32, 2, 4, *numbers, "triton")
    return (_augment_views(images, *parameters, torch.bfloat16, [0.5] * 3, [0.2] * 3, "triton"),)


def launched(code: str) -> list[str]:
    """The kernels that generated code launches, in order."""
    return re.findall(r"^ +(\w+?)_\d+\.run\(", code, re.MULTILINE)


def forms(code: str) -> list[dict[str, Any]]:
    """How Inductor specialises the kernels that are not its own."""
    found = re.findall(r"^ *triton_meta=(\{.*'backend_options'.*\}),$", code, re.MULTILINE)
    metas = [eval(text, {"DeviceProperties": lambda **_: None}) for text in found]
    return [
        {
            "signature": meta["signature"],
            "constants": meta["constants"],
            "aligned": sorted(place for (place,) in meta["configs"][0]),
            "options": meta["backend_options"],
        }
        for meta in metas
    ]


def recorded_forms(rows: int) -> list[dict[str, Any]]:
    """How the audit says that Inductor specialises them."""
    found = []
    for one in record(cases._hscl("hscl", "bf16", rows, 128), TARGET, inlined=True):
        form = json.loads(one.form)
        names = [*form["signature"]]
        values = (value["constexpr"] if isinstance(value, dict) else value for value in form["constant_vals"])
        hints = zip(form["attrs_keys"], form["attrs_vals"], strict=True)
        found.append(
            {
                "signature": form["signature"],
                "constants": {
                    names[place]: value for (place,), value in zip(form["constant_keys"], values, strict=True)
                },
                "aligned": sorted(place for (place,), hint in hints if hint),
                "options": {"maxnreg": form["options"]["maxnreg"]},
            }
        )
    return found


def kept_whole() -> dict[str, bool]:
    """Whether an operation's launches are known, with fixed and with symbolic sizes, on the CPU and for an export."""
    from hscl_kernels.registration import launches_are_known

    tensor = torch.empty(64, 8, device="meta")
    symbolic = FakeTensorMode(shape_env=ShapeEnv()).from_tensor(tensor)
    whole = torch._functorch.config.patch(decompose_custom_triton_ops=False)
    with launch.assumed(TARGET):
        known = {
            "fixed": launches_are_known((tensor, 0.5, "triton")),
            "cpu form": launches_are_known((tensor, 0.5, "cpu")),
            "symbolic": launches_are_known((symbolic, 0.5, "triton")),
        }
        with whole:
            known["export"] = launches_are_known((tensor, 0.5, "triton"))
    return {**known, "interpreted": launches_are_known((torch.empty(64, 8), 0.5, "triton"))}


def main() -> None:
    """Print everything."""
    warnings.simplefilter("ignore")
    fake = FakeTensorMode()

    def empty(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
        with fake:
            return torch.empty(shape, dtype=dtype, device="cuda")

    def of_step(rows: int) -> str:
        half, single = empty(rows, 128, dtype=torch.bfloat16), empty(1, 128, dtype=torch.float32)
        return generated(step, half, single, empty(rows), empty(rows))

    codes = {"few": of_step(FEW), "many": of_step(MANY)}
    single = torch.float32
    small_rows = (empty(70, 32, dtype=single), empty(3, 32, dtype=single), empty(70), empty(70))
    small = {"few": generated(small_step, *small_rows)}
    with mock.patch.object(launch, "few_rows", return_value=False):
        small["many"] = generated(small_step, *small_rows)
    images = empty(256, 32, 32, 3, dtype=torch.uint8)
    printed = {
        "traced": {case.variant: traced(case) for case in some_cases()},
        "step": {rows: launched(code) for rows, code in codes.items()},
        "views": launched(generated(views, empty(256), empty(), empty(), images)),
        "small": {rows: {"code": code, "forms": forms(code)} for rows, code in small.items()},
        "forms": {rows: forms(code) for rows, code in codes.items()},
        "recorded_forms": {"few": recorded_forms(FEW), "many": recorded_forms(MANY)},
        "known": kept_whole(),
    }
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
