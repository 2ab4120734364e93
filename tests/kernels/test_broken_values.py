"""NaN, infinities, huge and tiny rows: every form shows what is broken, and no form breaks what is not."""

import math

import pytest
import torch
import torch.distributed as dist
from forms import make_batch, solve
from forms import objective as objective_problem
from hscl_kernels import augment_views, hscl_loss, info_nce, normal_weights, prototype_similarity, unit
from hscl_kernels.checks import HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from hscl_kernels.selfcheck.problems import make_images, make_parameters
from spawn_ranks import start

from hscl_fast.config.sections import objective as options

ROWS = 9
IDS = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 5])  # the last row and row 3 have no positive
ROLES = torch.tensor([1, 0, -1, 2, 0, 1, 0, -1, 0])
PLACES = {"normal": 0, "unlabelled": 1, "abnormal": 2, "excluded, no positive": 3}
BROKEN = [math.nan, math.inf, -math.inf]
FORMS = [
    ("reference", torch.float32),
    ("reference", torch.float16),
    ("cpu", torch.float64),
    ("cpu", torch.float32),
    ("cpu", torch.bfloat16),
    ("triton", torch.float32),
    ("triton", torch.float16),
]
every_form = pytest.mark.parametrize(("backend", "dtype"), FORMS)
every_break = pytest.mark.parametrize("value", BROKEN)


def batch_of(dtype, rows=ROWS):
    batch = make_batch(rows, 16, 2, ids=IDS[:rows], roles=ROLES[:rows])
    return batch.embeddings.to(dtype), batch.prototypes.to(dtype)


def objective(z, v, **options):
    z, v = z.clone().requires_grad_(), v.clone().requires_grad_()
    loss = hscl_loss(z, v, IDS[: len(z)], ROLES[: len(z)], **options)
    loss.total.backward()
    return loss, z.grad, v.grad


@every_form
@every_break
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("tau", [0.5, 0.02])
def test_a_broken_row_shows_in_every_term_and_gradient(backend, dtype, value, place, tau):
    z, v = batch_of(dtype)
    z[PLACES[place], 5] = value
    loss, dz, dv = objective(z, v, temperature=tau, backend=backend)
    assert torch.stack(loss[:4]).isnan().all()
    assert loss.weights.isnan().tolist() == [place == "unlabelled" and row == 1 for row in range(ROWS)]
    assert dz.isnan().all()
    assert dv.isnan().all()


@every_form
@every_break
@pytest.mark.parametrize("options", [{"lambda_prototype": 0.0}, {"lambda_abnormal": 0.0}], ids=str)
def test_a_term_that_is_off_hides_nothing(backend, dtype, value, options):
    z, v = batch_of(dtype)
    z[2, 0] = value
    loss, dz, _ = objective(z, v, backend=backend, **options)
    assert loss.total.isnan()
    assert dz.isnan().all()


@every_form
@every_break
def test_a_broken_prototype_shows_in_every_term_and_gradient(backend, dtype, value):
    z, v = batch_of(dtype)
    v[1, 3] = value
    loss, dz, dv = objective(z, v, backend=backend)
    assert torch.stack(loss[:4]).isnan().all()
    assert dz.isnan().all()
    assert dv[1].isnan().all()


@every_form
@pytest.mark.parametrize("tau", [0.5, 0.02])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("row", [0, 3])
def test_info_nce(backend, dtype, tau, reduction, row):
    for value in BROKEN:
        z, _ = batch_of(dtype)
        z[row, 5] = value
        z.requires_grad_()
        loss = info_nce(z, IDS, tau, reduction=reduction, backend=backend)
        loss.sum().backward()
        assert loss.isnan().all()
        assert z.grad.isnan().all()


@every_form
def test_rows_without_any_positive_hide_nothing(backend, dtype):
    for rows in (1, 4):
        z, _ = batch_of(dtype, rows)
        z[0, 0] = math.nan
        z.requires_grad_()
        loss = info_nce(z, torch.arange(rows), backend=backend)
        loss.backward()
        assert loss.isnan()
        assert z.grad[0].isnan().all()


@every_form
@every_break
def test_a_broken_row_has_no_similarity_and_the_others_keep_theirs(backend, dtype, value):
    z, v = batch_of(dtype)
    sound, _ = prototype_similarity(z, v, backend=backend)
    z[4, 7] = value
    z.requires_grad_()
    similarity, index = prototype_similarity(z, v, backend=backend)
    similarity.sum().backward()
    assert similarity.isnan().tolist() == [row == 4 for row in range(ROWS)]
    others = torch.arange(ROWS) != 4
    assert torch.equal(similarity[others], sound[others])
    assert index[4] == 0
    assert z.grad[4].isnan().all()
    assert z.grad[others].isfinite().all()


@every_form
@every_break
def test_a_broken_prototype_is_nearest_to_every_row(backend, dtype, value):
    z, v = batch_of(dtype)
    v[1, 0] = value
    similarity, index = prototype_similarity(z, v, backend=backend)
    assert similarity.isnan().all()
    assert (index == 1).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_unit(dtype):
    largest = torch.finfo(dtype).max
    rows = torch.tensor([[3.0, 4, 0], [0, 0, 0], [math.nan, 1, 1], [math.inf, 1, 1], [1, -math.inf, 1]], dtype=dtype)
    rows = torch.cat((rows, torch.full((1, 3), largest, dtype=dtype), -torch.full((1, 3), largest / 2, dtype=dtype)))
    rows.requires_grad_()
    units = unit(rows)
    torch.testing.assert_close(units[0], torch.tensor([0.6, 0.8, 0], dtype=dtype))
    assert units[1].tolist() == [0, 0, 0]
    assert units[2:5].isnan().all()
    third = torch.full((3,), 3**-0.5, dtype=dtype)
    torch.testing.assert_close(units[5:], torch.stack((third, -third)))
    finite = [0, 5, 6] if dtype == torch.float16 else [0, 1, 5, 6]  # a zero row's gradient is 1e12
    units[finite].sum().backward()
    assert rows.grad[finite].isfinite().all()


def test_unit_of_tiny_float16_rows():
    rows = torch.tensor([[3.0, 4.0]], dtype=torch.float16) * 2.0**-24
    torch.testing.assert_close(unit(rows), torch.tensor([[0.6, 0.8]], dtype=torch.float16))


def test_normal_weights():
    roles = torch.tensor([0, 0, 0, 1, -1, 2])
    weights = normal_weights(torch.tensor([math.nan, math.inf, -math.inf, math.nan, math.nan, 0.5]), roles)
    assert weights[:3].isnan().all()
    assert weights[3:].tolist() == [1, 0, 0]


def lengths_of(dtype):
    """Return lengths from where the squares of a row overflow to where the row itself would, and tiny ones."""
    if dtype == torch.float16:
        return [1e4, 1e-3]  # the gradients of shorter rows overflow
    return [1e10, 1e19, 1e30, 5e37, 1e-10] + ([1e200, 1e300] if dtype == torch.float64 else [])


@every_form
def test_the_length_of_a_row_changes_nothing(backend, dtype):
    z, v = batch_of(dtype)
    z, v = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (z, v))
    tolerance = {torch.float64: 1e-9, torch.float32: 2e-5, torch.bfloat16: 4e-2, torch.float16: 4e-2}[dtype]
    plain = objective(z.to(dtype), v.to(dtype), backend=backend)
    for length in lengths_of(dtype):
        lengths = torch.ones(ROWS, 1, dtype=torch.float64)
        lengths[::2] = length
        loss, dz, dv = objective((z * lengths).to(dtype), (v * length).to(dtype), backend=backend)
        tolerances = {"rtol": tolerance, "atol": tolerance}
        torch.testing.assert_close(torch.stack(loss[:4]), torch.stack(plain[0][:4]), **tolerances)
        assert not dz.isnan().any()
        assert not dv.isnan().any()
        if length < 1e30 and dtype != torch.float16:  # beyond, gradients underflow
            scaled = dz.double() * lengths
            torch.testing.assert_close(scaled, plain[1].double(), **tolerances)


@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
@pytest.mark.parametrize("temperature", [LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE])
def test_extreme_temperatures(backend, temperature):
    problem = objective_problem(make_batch(ROWS, 16, 2, ids=IDS, roles=ROLES), temperature=temperature)
    exact = solve(problem, "reference", torch.float64)
    found = solve(problem, backend, torch.float32)
    torch.testing.assert_close(found["total"].double(), exact["total"], rtol=1e-4, atol=1e-4)
    assert all(value.isfinite().all() for value in found.values())


def test_the_configuration_has_the_same_bounds():
    assert (options.LOWEST_TEMPERATURE, options.HIGHEST_TEMPERATURE) == (LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE)


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-40, 9e-5, 1.1e4, math.inf, math.nan])
def test_temperatures_out_of_range(temperature):
    z, v = batch_of(torch.float32)
    for call in (
        lambda: info_nce(z, IDS, temperature),
        lambda: hscl_loss(z, v, IDS, ROLES, temperature=temperature),
    ):
        with pytest.raises(ValueError, match=f"temperature is {temperature}, expected a number from 0.0001 to 10000"):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda_prototype": math.inf}, "lambda_prototype is inf, expected a finite number, 0 or more"),
        ({"lambda_abnormal": math.nan}, "lambda_abnormal is nan, expected a finite number, 0 or more"),
        ({"lambda_abnormal": -1.0}, "lambda_abnormal is -1.0, expected a finite number, 0 or more"),
        ({"weight_threshold": math.nan}, "weight_threshold is nan, expected a finite number"),
    ],
)
def test_options_that_are_not_finite(options, message):
    z, v = batch_of(torch.float32)
    with pytest.raises(ValueError, match=message):
        hscl_loss(z, v, IDS, ROLES, **options)


def rank_main(rank, ranks, backend, path):
    """Break one row of the last rank; every rank must see it."""
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=ranks)
    rows = 8
    here = slice(rank * rows // ranks, (rank + 1) * rows // ranks)
    for value in (*BROKEN, 1e30):
        for row in range(4, 8):
            z, v = batch_of(torch.float32)
            z[row] *= value
            z, v = z[here].clone().requires_grad_(), v.requires_grad_()
            loss = hscl_loss(z, v, IDS[here], ROLES[here], group=dist.group.WORLD, backend=backend)
            loss.total.backward()
            broken = value != 1e30
            for result in (torch.stack(loss[:4]), z.grad, v.grad):
                assert result.isnan().all() if broken else result.isfinite().all(), (value, row, result)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize("backend", ["cpu", "triton"])
def test_a_row_broken_on_one_rank_shows_on_all(backend, tmp_path):
    start(rank_main, 2, backend, str(tmp_path / "rendezvous"))


@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
@pytest.mark.parametrize("name", ["hue", "saturation", "value", "contrast", "crop"])
@every_break
def test_broken_view_parameters(backend, name, value):
    parameters = make_parameters(4, 2)
    getattr(parameters, name)[2] = value
    with pytest.raises(ValueError, match=rf"parameters.{name} holds \[.*{value}.*\], expected finite numbers"):
        augment_views(make_images(2, 8, 8, 3), parameters, backend=backend)


@pytest.mark.parametrize("name", ["hue", "saturation", "value", "contrast", "crop"])
@every_break
def test_the_views_kernel_shows_broken_parameters(name, value):
    """A GPU is not waited for, so the kernel itself must not hide them."""
    from hscl_kernels.views import triton_form

    parameters = make_parameters(4, 2)
    getattr(parameters, name)[2] = value
    images = make_images(2, 8, 8, 3)
    views = triton_form.augment_views(images, parameters, dtype=torch.float32, mean=[0.5] * 3, std=[0.5] * 3)
    assert views.isnan().all(dim=(1, 2, 3)).tolist() == [False, False, True, False]
    assert views[[0, 1, 3]].isfinite().all()


@pytest.mark.parametrize("name", ["mean", "std"])
def test_broken_normalisation_of_views(name):
    with pytest.raises(ValueError, match=f"{name} is nan, expected a finite number"):
        augment_views(make_images(2, 8, 8, 3), make_parameters(4, 2), **{name: math.nan})
