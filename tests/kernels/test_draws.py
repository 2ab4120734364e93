"""Every form of ``draw_view_parameters`` draws the same numbers; tests/method/test_augment.py says which."""

import interpreter  # noqa: F401 (makes the interpreter faster)
import pytest
import torch
from hscl_kernels import ViewDistribution, ViewParameters, draw_view_parameters, launch

ODD = ViewDistribution(True, 0.3, 0.6, 0.45, 0.3, 0.21, 0.77, 0.13, (0.2, 0.7), (0.5, 1.9))
NEVER_FITS = ViewDistribution(crop_area=(0.9, 1.0), crop_ratio=(3.0, 4.0))


def draw(backend, distribution=None, *, indices=None, seed=2**40 + 3, step=2**33 + 5, size=(32, 32), **options):
    indices = torch.arange(11) * 2**28 if indices is None else indices
    numbers = {"seed": torch.tensor(seed), "step": torch.tensor(step)}
    return draw_view_parameters(indices, distribution, size=size, backend=backend, **numbers, **options)


def assert_the_same(one, other):
    for name, field in one._asdict().items():
        assert getattr(other, name).dtype == field.dtype, name
        assert torch.equal(getattr(other, name), field), name


@pytest.mark.parametrize(
    ("distribution", "rotations", "size"),
    [(None, 4, (32, 32)), (ODD, 2, (24, 37)), (NEVER_FITS, 1, (32, 32)), (None, 3, (1, 1))],
)
def test_triton_draws_the_very_numbers_of_the_reference(distribution, rotations, size, monkeypatch):
    monkeypatch.setattr(launch, "DRAW_BLOCK", 64)  # several blocks, the last of which is not full
    exact, found = (draw(form, distribution, rotations=rotations, size=size) for form in ("reference", "triton"))
    assert_the_same(exact, found)


@pytest.mark.gpu
@pytest.mark.parametrize("rotations", [1, 2, 4])
def test_the_gpu_draws_the_very_numbers_of_the_cpu(rotations):
    indices = torch.arange(300) * 7919
    own, zero = indices.cuda(), torch.zeros((), dtype=torch.int64, device="cuda")
    found = draw_view_parameters(own, seed=zero, step=zero, size=(32, 32), rotations=rotations)
    exact = draw("cpu", indices=indices, seed=0, step=0, rotations=rotations)
    assert_the_same(exact, ViewParameters(*(field.cpu() for field in found)))


def test_half_pixels_are_rounded_to_even_as_torch_does():
    """Of a fixed area and ratio: the side is 2.5 pixels, which becomes 2."""
    exact = ViewDistribution(crop_area=(6.25 / 64, 6.25 / 64), crop_ratio=(1.0, 1.0))
    for backend in ("reference", "triton"):
        assert draw(backend, exact, size=(8, 8)).crop[:, :2].unique().tolist() == [0.25]


@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
def test_no_images(backend):
    parameters = draw(backend, indices=torch.arange(0))
    assert [list(field.shape) for field in parameters] == [[0]] * 10 + [[0, 4], [0]]


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_opcheck(backend):
    zero, numbers = torch.tensor(0), (False, 0.5, 0.8, 0.2, 0.4, 0.4, 0.4, 0.1, [0.1, 1.0], [0.75, 1.25])
    arguments = (torch.arange(3), zero, zero, 8, 8, 2, 2, *numbers, backend)
    torch.library.opcheck(torch.ops.hscl_kernels.draw_view_parameters.default, arguments)


def test_compiled_whole_once_for_any_number_of_images():
    def step(indices, seed, number):
        return draw_view_parameters(indices, seed=seed, step=number, size=(8, 8), backend="cpu")

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, dynamic=True, backend="aot_eager")
    seed = torch.tensor(7)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for images in (3, 5, 8):
            given = torch.arange(images), seed, torch.tensor(images)
            parameters = compiled(*given)
            assert isinstance(parameters, ViewParameters)
            assert_the_same(step(*given), parameters)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"indices": torch.zeros(3)}, TypeError, r"indices is torch.float32 \[3\], expected torch.int64 \[B\]"),
        ({"seed": torch.zeros(1, dtype=torch.int64)}, TypeError, r"seed is torch.int64 \[1\], expected .* scalar"),
        ({"step": torch.zeros(())}, TypeError, "step is torch.float32"),
        (
            {"step": torch.zeros((), dtype=torch.int64, device="meta")},
            ValueError,
            "step is on meta, indices are on cpu",
        ),
        ({"rotations": 5}, ValueError, "rotations is 5, expected 1 to 4"),
        ({"views": 0}, ValueError, "views is 0, expected 1 to 16384"),
        ({"size": (0, 8)}, ValueError, r"size is \(0, 8\), expected"),
        ({"backend": "gpu"}, ValueError, "'gpu', expected one of"),
    ],
)
def test_wrong_inputs_are_named(change, error, message):
    zero = torch.tensor(0)
    given = {"indices": torch.arange(3), "seed": zero, "step": zero, "size": (8, 8)}
    with pytest.raises(error, match=message):
        draw_view_parameters(**(given | change))
