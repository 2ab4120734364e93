"""What torch.compile makes of the operations on a GPU: a compiled step launches their kernels by itself."""

import json
import re
import textwrap
from pathlib import Path

import pytest
import torch
from forms import make_batch
from hscl_kernels import hscl_loss
from hscl_kernels.contrast import backward_kernels, few_rows_kernels, forward_kernels, row_terms_kernels
from hscl_kernels.prototypes import triton_kernels as prototype_kernels
from test_audit import compiling, kernels

MODULES = (few_rows_kernels, forward_kernels, backward_kernels, row_terms_kernels, prototype_kernels)

WRITTEN = {
    "unit_rows_kernel": {"units", "lengths"},
    "row_ranges_kernel": {"ranges"},
    "sweep_forward_kernel": {"partials"},
    "sweep_forward_online_kernel": {"partials"},
    "sweep_forward_to_losses_kernel": {"partials", "row_state", "tickets"},
    "log_sums_kernel": {"log_sums"},
    "row_terms_kernel": {"row_state"},
    "sweep_backward_kernel": {"unit_gradients", "sweep_factor", "ticket"},
    "sweep_backward_online_kernel": {"unit_gradients", "sweep_factor", "ticket"},
    "input_gradients_kernel": {"embedding_gradients"},
    "similarity_gradients_kernel": {"embedding_gradients", "prototype_parts"},
    "prototype_gradients_kernel": {"gradients"},
    "views_kernel": {"views"},
    "draws_kernel": {"image", "flip", "rotation", "crop"},
}
LOSSES = {
    *("row_losses", "loss_parts", "largest_anchor"),
    *("total", "sample_to_sample", "sample_to_prototype", "normal_to_abnormal"),
}
# What they write beside that, depending on what is asked of them.
MAY_BE_WRITTEN = {
    "unit_rows_kernel": {"similarity", "index", "weights", "shares", "block_sums", "ranges", "tickets"},
    "row_terms_kernel": LOSSES | {"tickets"},
    "sweep_forward_to_losses_kernel": LOSSES,
    "input_gradients_kernel": {"prototype_parts", "prototype_gradients", "ticket"},
    "draws_kernel": {
        *("jitter", "contrast_first", "hue", "saturation", "value", "contrast", "gray", "crop_first"),
    },
}
OBJECTIVE = {
    "few": ["unit_rows_kernel", "sweep_forward_to_losses_kernel", "sweep_backward_kernel", "input_gradients_kernel"],
    "many": [
        *("unit_rows_kernel", "sweep_forward_kernel", "row_terms_kernel"),
        *("sweep_backward_kernel", "input_gradients_kernel"),
    ],
}
of_few_and_many_rows = pytest.mark.parametrize("rows", OBJECTIVE)


@pytest.fixture(scope="module")
def inductor():
    """What the program prints; it takes half a minute."""
    result = compiling(Path(__file__).with_name("inductor_launches.py"))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.slow
def test_a_trace_has_the_launches_of_every_operation(inductor):
    for name, case in inductor["traced"].items():
        assert case["kernels"] == case["eager"], name
    assert {kernel for case in inductor["traced"].values() for kernel in case["kernels"]} == kernels()


@pytest.mark.slow
def test_only_outputs_are_written(inductor):
    """What the compiler takes for written it may copy first, or write in another order."""
    for case in inductor["traced"].values():
        for kernel, written in case["written"]:
            assert WRITTEN[kernel] <= set(written) <= WRITTEN[kernel] | MAY_BE_WRITTEN.get(kernel, set()), kernel


@pytest.mark.slow
@of_few_and_many_rows
def test_a_compiled_step_launches_nothing_else_for_them(inductor, rows):
    """No copies and no fills: Inductor would fill an empty scalar, with a launch for each."""
    # 2 * z, ours, 2 * dL/dz
    assert inductor["step"][rows] == ["triton_poi_fused", *OBJECTIVE[rows], "triton_poi_fused"]


@pytest.mark.slow
def test_compiled_views_launch_nothing_else(inductor):
    assert inductor["views"] == ["draws_kernel", "views_kernel"]


@pytest.mark.slow
@of_few_and_many_rows
def test_the_audit_compiles_what_inductor_launches(inductor, rows):
    """With integers that are 1 or that 16 divides as constants and hints, and numbers in float64."""
    forms = inductor["forms"][rows]
    assert forms == inductor["recorded_forms"][rows]
    assert len(forms) == len(OBJECTIVE[rows])
    assert forms[0]["signature"]["scale"] == "fp64"


@pytest.mark.slow
def test_operations_stay_whole_where_launches_depend_on_what_is_not_known(inductor):
    assert inductor["known"] == {
        "fixed": True,
        "cpu form": False,
        "symbolic": False,  # each number of rows would be compiled anew
        "export": False,  # a program for any machine
        "interpreted": False,
    }


class Interpreted:
    """Stands for a kernel of the generated code: runs it in the interpreter with the arguments it is given there."""

    def __init__(self, name, form):
        self.kernel = next(vars(module)[name] for module in MODULES if name in vars(module))
        self.names, self.constants = [*form["signature"]], form["constants"]

    def run(self, *given, stream):
        *arguments, x, y, z = given
        passed = [name for name in self.names if not name.isupper()]
        named = dict(zip(passed, arguments, strict=True)) | {
            name: value for name, value in self.constants.items() if name.isupper() or value is None
        }
        self.kernel[x, y, z](**named)


def unwritten(size, stride, dtype):
    """Memory in which what is read before it is written shows."""
    return torch.empty_strided(size, stride, dtype=dtype).fill_(float("nan") if dtype.is_floating_point else 7)


@pytest.mark.slow
@of_few_and_many_rows
def test_the_code_that_inductor_would_run_computes_the_objective(inductor, rows):
    """Its buffers, which it reuses, its order and its arguments, with the kernels in the interpreter."""
    small = inductor["small"][rows]
    names = dict.fromkeys(re.findall(r"^(\w+_kernel)_(\d+) = async_compile", small["code"], re.MULTILINE))
    assert [name for name, _ in names] == OBJECTIVE[rows]
    known = {
        **{
            f"{name}_{place}": Interpreted(name, form)
            for (name, place), form in zip(names, small["forms"], strict=True)
        },
        "torch": torch,
        "empty_strided_cuda": unwritten,
        "reinterpret_tensor": torch.ops.inductor._reinterpret_tensor,
        "copy_if_misaligned": lambda tensor: tensor,
        "get_raw_stream": lambda device: None,
        **dict.fromkeys(("assert_size_stride", "assert_size_stride_grouped"), lambda *_: None),
    }
    (body,) = re.findall(r"^    def call\(self, args\):\n(.*?)^\S", small["code"], re.MULTILINE | re.DOTALL)
    body = body.replace("with torch.cuda._DeviceGuard(0):", "if True:").replace("torch.cuda.set_device(0)", "pass")
    exec("def call(args):\n" + textwrap.indent(textwrap.dedent(body.split("\n    def ")[0]), "    "), known)

    batch = make_batch(70, 32)
    z, v = batch.embeddings.double().requires_grad_(), batch.prototypes.double().requires_grad_()
    total = hscl_loss(z, v, batch.ids, batch.roles, backend="reference").total
    expected = (total, *(total * gradient for gradient in torch.autograd.grad(total, (z, v))))
    found = known["call"]([z.detach().float(), v.detach().float(), batch.ids, batch.roles])
    for ours, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-6 * float(exact.detach().abs().max()))
