"""Every form of every operation on hostile inputs: rows of very different lengths, several tiles and programs."""

import forms
import pytest
import torch
from forms import TERMS, assert_within_budget, solve
from hscl_kernels import cpu_threads, info_nce, launch, prototype_similarity
from hscl_kernels.backends import HAS_TRITON
from hscl_kernels.contrast import cpu_sweep
from hscl_kernels.selfcheck.loss_problem import LossProblem
from hscl_kernels.selfcheck.problems import Batch, Case, make_batch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

# Triton runs compiled where there is a GPU, else in its interpreter, which multiplies the raw bits of bfloat16.
GPU = torch.cuda.is_available()
DEVICES = {"cpu": torch.device("cpu"), "triton": torch.device("cuda" if GPU else "cpu")}
pytestmark = pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid:RuntimeWarning")
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
CPU_FORMS = [("cpu", torch.float32), ("cpu", torch.float64), ("cpu", torch.bfloat16), ("cpu", torch.float16)]
TRITON_FORMS = [("triton", torch.float32), ("triton", torch.float16), *[("triton", torch.bfloat16)] * GPU]
FORMS = [pytest.param(*form, id=f"{form[0]}-{str(form[1])[6:]}") for form in CPU_FORMS] + [
    pytest.param(*form, id=f"{form[0]}-{str(form[1])[6:]}", marks=needs_triton) for form in TRITON_FORMS
]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Cut a few dozen rows into several tiles, shares, super-tiles and programs."""
    monkeypatch.setattr(cpu_sweep, "TILE", 16)
    monkeypatch.setattr(cpu_sweep, "_SMALLEST_TILE", 8)
    monkeypatch.setattr(cpu_sweep, "share_count", lambda: 2)
    monkeypatch.setattr(launch, "forward_tile", lambda *args, online: launch.Tile(16, 16, 4, 1))
    monkeypatch.setattr(launch, "backward_tile", lambda *args, online: launch.Tile(16, 16, 4, 1))
    monkeypatch.setattr(launch, "processors", lambda device: 1)
    monkeypatch.setattr(launch, "row_tile", lambda width, device: launch.Tile(16, 1, 4, 1))
    monkeypatch.setattr(launch, "MOST_PARTS", 2)


# What the four gradients are: of the total and of single terms, none of them 1.
UPSTREAM = (1.7, -0.6, 0.8, 1.3)


def batch(dtype, change=None, *, seed=0, **shape):
    """A batch in ``dtype``; ``change`` turns its four tensors into others."""
    z, v, *facts = make_batch(Case(**shape), seed)
    tensors = (z.to(dtype), v.to(dtype), *facts)
    return Batch(*(tensors if change is None else change(*tensors)))


def objective(dtype, *, change=None, upstream=UPSTREAM, temperature=0.5, options=None, **shape):
    """A problem for hscl_loss with weights of its terms that are not 1."""
    options = {"temperature": temperature, "lambda_prototype": 0.7, "lambda_abnormal": 1.4, **(options or {})}
    return forms.objective(batch(dtype, change, **shape), upstream, **options)


DRAWN = {"na_estimator": "multinomial"}


def with_zero_rows(z, v, ids, roles):
    z[[0, 3, 20]] = 0
    v[1] = 0
    return z, v, ids, roles


def with_rows_too_short_to_normalise(z, v, ids, roles):
    """Lengths of half the 1e-12 by which such rows are divided (in float16: zero rows)."""
    z[::5] = (z[::5].double() * 5e-13 / z[::5].double().norm(dim=1, keepdim=True)).to(z.dtype)
    return z, v, ids, roles


def with_identical_rows(z, v, ids, roles):
    z[:] = z[0].clone()
    return z, v, ids, roles


def with_an_opposite_row(z, v, ids, roles):
    """The last row is the opposite of all others: e = 1 outside the matrix is far above all of its own."""
    z[:-1] = z[0].clone()
    z[-1] = -z[0]
    return z, v, ids, roles


def with_ties(z, v, ids, roles):
    return z, v[[0, 0, 2, 2, 1, 1]], ids, roles


def with_long_rows(z, v, ids, roles):
    """Lengths above 65504, the largest float16, of entries that are below it."""
    return z.double().mul(5e4 / z.double().abs().amax(dim=1, keepdim=True)).to(z.dtype), v, ids, roles


def every_second_feature(z, v, ids, roles):
    return z[:, ::2], v[:, ::2], ids, roles


def column_major(z, v, ids, roles):
    return z.T.contiguous().T, v.T.contiguous().T, ids, roles


def strided_facts(z, v, ids, roles):
    return z, v, torch.stack((ids, ids + 1), dim=1)[:, 0], torch.tensor([0]).expand(len(roles))


def of_ids(make, dtype=torch.int64):
    return lambda z, v, ids, roles: (z, v, make(ids).to(dtype), roles)


def shuffled(ids):
    return ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(3))]


CASES = {
    "raw rows": {},
    "2 rows": {"rows": 2},
    "3 rows": {"rows": 3},
    "whole tiles": {"rows": 32},
    "super-tiles": {"rows": 131},
    **{f"{d} features": {"features": d} for d in (16, 20, 64, 96, 128, 192)},
    **{f"{k} prototypes": {"prototypes": k} for k in (1, 17, 64)},
    "tau 0.1": {"temperature": 0.1},
    "tau 0.02": {"temperature": 0.02},
    "tau 0.02, drawn": {"temperature": 0.02, "options": DRAWN},
    "zero rows": {"change": with_zero_rows},
    "zero rows, tau 0.02": {"change": with_zero_rows, "temperature": 0.02},
    "rows too short": {"change": with_rows_too_short_to_normalise},
    "identical rows": {"change": with_identical_rows},
    "identical rows, tau 0.02": {"change": with_identical_rows, "temperature": 0.02},
    "opposite, tau 0.1": {"change": with_an_opposite_row, "temperature": 0.1, "rows": 70},
    "2 opposite rows, tau 0.01": {"change": with_an_opposite_row, "temperature": 0.01, "rows": 2},
    "ties": {"change": with_ties},
    # Gradients by such rows are tiny: as with float16 training, the loss is scaled.
    "lengths beyond float16": {"change": with_long_rows, "upstream": (2.0**14, None, None, None)},
    "no labelled normal": {"roles": (0, -1, 2)},
    "no unlabelled": {"roles": (1, -1, 2)},
    "no abnormal": {"roles": (1, 0, 2)},
    "no excluded": {"roles": (1, 0, -1)},
    "only excluded": {"roles": (2,)},
    "only abnormal": {"roles": (-1,)},
    "none eligible": {"options": {"weight_threshold": 1.0}},
    "every second feature": {"change": every_second_feature, "features": 64},
    "column-major": {"change": column_major},
    "strided ids, expanded roles": {"change": strided_facts},
    "int32 ids": {"change": of_ids(shuffled, torch.int32)},
    "ids of 31 bits": {"change": of_ids(lambda ids: ids * 2**26 - 2**30)},
    "negative ids": {"change": of_ids(lambda ids: -ids)},
    "unsorted ids": {"change": of_ids(shuffled)},
    "many positives": {"change": of_ids(lambda ids: shuffled(ids) % 4)},
    "uneven numbers of positives": {"change": of_ids(lambda ids: (shuffled(ids) ** 2) % 23)},
    "no positives": {"change": of_ids(lambda ids: torch.arange(len(ids)))},
    "all the same id": {"change": of_ids(torch.zeros_like)},
    "all the same id, tau 0.02": {"change": of_ids(torch.zeros_like), "temperature": 0.02},
    "drawn": {"options": DRAWN},
    "untrained prototypes": {"options": {"lambda_prototype": 0.0}},
    "no abnormal term": {"options": {"lambda_abnormal": 0.0}},
    **{
        f"gradient of {term} alone": {"upstream": tuple(-0.3 if i == j else None for j in range(4))}
        for i, term in enumerate(("total", "L_SS", "L_SP", "L_NA"))
    },
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("backend", "dtype"), FORMS)
def test_the_objective_keeps_the_budget(backend, dtype, case):
    assert_within_budget(objective(dtype, **CASES[case]), backend, dtype, DEVICES[backend])


@pytest.fixture
def many_rows(monkeypatch):
    """Launch what is launched for many rows: the batches here are of few."""
    monkeypatch.setattr(launch, "few_rows", lambda rows, device: False)


@needs_triton
@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("many_rows")
def test_the_objective_keeps_the_budget_as_of_many_rows(case):
    problem = objective(torch.float32, **CASES[case])
    assert_within_budget(problem, "triton", torch.float32, DEVICES["triton"])


@needs_triton
@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("processors", [2, 4, 132])
@pytest.mark.parametrize(("forward", "backward"), [((16, 16), (32, 16)), ((32, 16), (16, 32))])
def test_any_cut_of_the_sweep_keeps_the_budget(monkeypatch, processors, forward, backward, few):
    monkeypatch.setattr(launch, "few_rows", lambda rows, device: few)
    monkeypatch.setattr(launch, "processors", lambda device: processors)
    monkeypatch.setattr(launch, "forward_tile", lambda *args, online: launch.Tile(*forward, 4, 1))
    monkeypatch.setattr(launch, "backward_tile", lambda *args, online: launch.Tile(*backward, 4, 1))
    problem = objective(torch.float32, rows=90, options=DRAWN)
    assert_within_budget(problem, "triton", torch.float32, DEVICES["triton"])


@needs_triton
def test_more_programs_than_one_adds_at_once_keep_the_budget(monkeypatch):
    """The last program adds the sums of all in several rounds, as it does beyond 16,384 rows."""
    monkeypatch.setattr(launch, "ROW_BLOCK", 16)
    monkeypatch.setattr(launch, "forward_tile", lambda *args, online: launch.Tile(64, 64, 4, 1))
    monkeypatch.setattr(launch, "backward_tile", lambda *args, online: launch.Tile(64, 64, 4, 1))
    assert_within_budget(objective(torch.float32, rows=300), "triton", torch.float32, DEVICES["triton"])


def test_the_cuts_above_have_super_tiles_and_splits():
    assert [launch.forward_plan(90, 90, 16, count, triangular=True).tiles for count in (1, 2, 132)] == [2, 1, 1]
    tile = launch.Tile(16, 32, 4, 1)
    assert [launch.row_owned_plan(90, 90, tile, count)[0] for count in (2, 4, 132)] == [1, 1, 3]
    assert launch.row_owned_plan(90, 90, launch.Tile(32, 16, 4, 1), 2) == (2, 3)


def test_ids_beyond_32_bits_keep_the_budget_on_the_cpu():
    assert_within_budget(objective(torch.float32, change=of_ids(lambda ids: ids * 2**33 + 7)), "cpu", torch.float32)


@pytest.mark.parametrize("shares", [1, 3, 50])
@pytest.mark.parametrize("tile", [8, 64])
def test_any_number_of_shares_keeps_the_budget(monkeypatch, shares, tile):
    monkeypatch.setattr(cpu_sweep, "share_count", lambda: shares)
    monkeypatch.setattr(cpu_sweep, "TILE", tile)
    monkeypatch.setattr(cpu_threads, "share_count", lambda: shares)
    assert_within_budget(objective(torch.float32, rows=61), "cpu", torch.float32)


CONTRASTS = {
    "raw rows": {},
    "2 rows": {"rows": 2},
    "3 rows": {"rows": 3},
    "super-tiles": {"rows": 131},
    "20 features": {"features": 20},
    "192 features": {"features": 192},
    "tau 0.1": {"temperature": 0.1},
    "tau 0.02": {"temperature": 0.02},
    "zero rows": {"change": with_zero_rows},
    "rows too short": {"change": with_rows_too_short_to_normalise},
    "identical rows": {"change": with_identical_rows},
    "every second feature": {"change": every_second_feature, "features": 64},
    "strided ids": {"change": strided_facts},
    "uneven numbers of positives": {"change": of_ids(lambda ids: (shuffled(ids) ** 2) % 23)},
    "no positives": {"change": of_ids(lambda ids: torch.arange(len(ids)))},
    "all the same id": {"change": of_ids(torch.zeros_like)},
}


def contrast(dtype, *, change=None, temperature=0.5, reduction="mean", **shape):
    """A problem for info_nce with an upstream gradient of its own for every row."""
    z, _, ids, _ = batch(dtype, change, **shape)
    upstream = torch.randn(len(z), generator=torch.Generator().manual_seed(8)) if reduction == "none" else -1.3
    options = {"temperature": temperature, "reduction": reduction}
    return LossProblem(info_nce, ("loss",), {"embeddings": z}, (ids,), (torch.as_tensor(upstream),), options)


@pytest.mark.parametrize("case", CONTRASTS)
@pytest.mark.parametrize(("backend", "dtype"), FORMS)
def test_info_nce_keeps_the_budget(backend, dtype, case):
    problem = contrast(dtype, reduction="none", **CONTRASTS[case])
    assert_within_budget(problem, backend, dtype, DEVICES[backend])


@needs_triton
@pytest.mark.parametrize("case", CONTRASTS)
@pytest.mark.usefixtures("many_rows")
def test_info_nce_keeps_the_budget_as_of_many_rows(case):
    problem = contrast(torch.float32, reduction="none", **CONTRASTS[case])
    assert_within_budget(problem, "triton", torch.float32, DEVICES["triton"])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("backend", "dtype"), FORMS)
def test_reductions_keep_the_budget(backend, dtype, reduction):
    problem = contrast(dtype, reduction=reduction)
    assert_within_budget(problem, backend, dtype, DEVICES[backend])


def similarity(dtype, *, change=None, loss_scale=1.0, **shape):
    """A problem for prototype_similarity with an upstream gradient of its own for every row."""
    z, v, *_ = batch(dtype, change, **shape)
    upstream = loss_scale * torch.randn(len(z), generator=torch.Generator().manual_seed(8))
    inputs = {"embeddings": z, "prototypes": v}
    return LossProblem(prototype_similarity, ("similarity", "index"), inputs, (), (upstream,))


SIMILARITIES = {
    "raw rows": {},
    "1 row": {"rows": 1},
    "several programs": {"rows": 131},
    "1 prototype": {"prototypes": 1},
    "64 prototypes": {"prototypes": 64},
    "20 features": {"features": 20},
    "192 features": {"features": 192},
    "zero rows": {"change": with_zero_rows},
    "opposite, tau 0.1": {"change": with_an_opposite_row, "temperature": 0.1, "rows": 70},
    "2 opposite rows, tau 0.01": {"change": with_an_opposite_row, "temperature": 0.01, "rows": 2},
    "ties": {"change": with_ties},
    "every second feature": {"change": every_second_feature, "features": 64},
    "column-major": {"change": column_major},
    "lengths beyond float16": {"change": with_long_rows, "loss_scale": 2.0**12},
}


@pytest.mark.parametrize("case", SIMILARITIES)
@pytest.mark.parametrize(("backend", "dtype"), FORMS)
def test_the_similarity_keeps_the_budget(backend, dtype, case):
    problem = similarity(dtype, **SIMILARITIES[case])
    assert_within_budget(problem, backend, dtype, DEVICES[backend])


@pytest.mark.parametrize(("backend", "dtype"), [form for form in FORMS if form.values[1].itemsize == 2])
def test_half_precision_embeddings_take_float32_prototypes(backend, dtype):
    whole = objective(dtype)
    mixed = objective(dtype, change=lambda z, v, *facts: (z, v.float(), *facts))
    ours, theirs = (solve(problem, backend, device=DEVICES[backend]) for problem in (mixed, whole))
    by_prototypes = ours.pop("d/dprototypes")
    assert by_prototypes.dtype == torch.float32
    assert torch.equal(by_prototypes.to(dtype), theirs.pop("d/dprototypes"))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


# Which of the terms L_SS, L_SP and L_NA are gone when only these roles are there.
ABSENT = {
    (0, 1, 2): {"normal_to_abnormal"},
    (-1, 2): {"normal_to_abnormal"},
    (-1,): {"normal_to_abnormal"},
    (2,): {"sample_to_prototype", "normal_to_abnormal"},
}


@pytest.mark.parametrize("temperature", [0.5, 0.02])
@pytest.mark.parametrize(("backend", "dtype"), FORMS)
@pytest.mark.parametrize("roles", ABSENT)
def test_a_missing_term_is_exactly_nothing(backend, dtype, roles, temperature):
    for term in ABSENT[roles]:
        upstream = tuple(1.0 if name == term else None for name in TERMS)
        problem = objective(dtype, roles=roles, upstream=upstream, temperature=temperature)
        found = solve(problem, backend, device=DEVICES[backend])
        assert found[term] == 0
        assert not found["d/dembeddings"].any()
        assert not found["d/dprototypes"].any()


@pytest.mark.parametrize("temperature", [0.5, 0.02])
@pytest.mark.parametrize(("backend", "dtype"), FORMS)
def test_without_positives_the_sample_term_is_exactly_nothing(backend, dtype, temperature):
    problem = contrast(dtype, change=CONTRASTS["no positives"]["change"], temperature=temperature)
    found = solve(problem, backend, device=DEVICES[backend])
    assert found["loss"] == 0
    assert not found["d/dembeddings"].any()


@pytest.mark.parametrize(("backend", "dtype"), [form for form in FORMS if form.values[1] == torch.float16])
def test_float16_gradients_of_zero_rows_are_as_large_as_they_can_be(backend, dtype):
    problem = objective(dtype, change=with_zero_rows)
    exact = solve(problem, "reference", torch.float64)["d/dembeddings"]
    gradient = solve(problem, backend, device=DEVICES[backend])["d/dembeddings"].cpu()
    largest = torch.finfo(torch.float16).max
    certain = exact[[0, 3, 20]].abs() > 100 * largest
    assert certain.any()
    assert torch.equal(gradient[[0, 3, 20]].double()[certain], exact[[0, 3, 20]].sign()[certain] * largest)


@pytest.mark.parametrize(("backend", "dtype"), FORMS)
def test_two_calls_give_the_same_bits(backend, dtype):
    problem = objective(dtype, rows=90)
    first, again = (solve(problem, backend, device=DEVICES[backend]) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


shapes = st.fixed_dictionaries(
    {
        "rows": st.integers(2, 40),
        "features": st.sampled_from([4, 7, 16, 33]),
        "prototypes": st.sampled_from([1, 2, 5, 40]),
        "roles": st.lists(st.sampled_from([1, 0, -1, 2]), min_size=1, max_size=4).map(tuple),
        "seed": st.integers(0, 2**20),
        "temperature": st.sampled_from([1.0, 0.5, 0.1, 0.03]),
    }
)


# The budget is for batches of dozens of rows. In one of 3 rows the loss can be nearly nothing and eager code happen to
# round the right way: of 13,000 drawn batches 12 exceeded the budget on the CPU, by up to 1.85 times. Even three times
# the budget is less than one rounding of a logit 1 / tau where tau <= 0.1: 3 * 1e-6 * (0.1 / tau) of a loss of 0.1 is
# 3e-8 / tau, and half a unit in the last place of 1 / tau is up to 6e-8 / tau.
BUDGETS_OF_DRAWN = 3
OVER_ONE_BUDGET = {
    "shape": {"rows": 3, "features": 7, "prototypes": 1, "roles": (0, -1), "seed": 594021, "temperature": 0.03},
    "different_ids": 13,
    "multinomial": False,
}


def drawn_problem(shape, different_ids, multinomial):
    change = of_ids(lambda ids: shuffled(ids) % different_ids)
    return objective(torch.float32, change=change, options=DRAWN if multinomial else {}, **shape)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes, different_ids=st.integers(1, 40), multinomial=st.booleans())
@example(**OVER_ONE_BUDGET)
def test_any_batch_keeps_the_budget_on_the_cpu(shape, different_ids, multinomial):
    problem = drawn_problem(shape, different_ids, multinomial)
    assert_within_budget(problem, "cpu", torch.float32, budgets=BUDGETS_OF_DRAWN)


@needs_triton
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes, different_ids=st.integers(1, 40), multinomial=st.booleans())
@example(**OVER_ONE_BUDGET)
def test_any_batch_keeps_the_budget_on_triton(shape, different_ids, multinomial):
    problem = drawn_problem(shape, different_ids, multinomial)
    assert_within_budget(problem, "triton", torch.float32, DEVICES["triton"], budgets=BUDGETS_OF_DRAWN)
