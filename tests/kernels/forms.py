"""Batches for the forms of the losses, and the self-check's error budget as an assertion."""

from typing import NamedTuple

import interpreter  # noqa: F401 (makes the interpreter faster)
import torch
from hscl_kernels import hscl_loss
from hscl_kernels.selfcheck import problems
from hscl_kernels.selfcheck.budget import CPU, hold
from hscl_kernels.selfcheck.loss_problem import LossProblem

TERMS = ("total", "sample_to_sample", "sample_to_prototype", "normal_to_abnormal")


class Batch(NamedTuple):
    embeddings: torch.Tensor
    prototypes: torch.Tensor
    ids: torch.Tensor
    roles: torch.Tensor
    uniforms: torch.Tensor


def make_batch(rows, features=32, prototypes=3, *, seed=0, ids=None, roles=None):
    """Draw rows of about the same length, with any number of positives each and roles that may be missing."""
    batch = problems.make_batch(problems.Case(rows, features, prototypes, spread=0.0), seed)
    generator = torch.Generator().manual_seed(seed)
    if ids is None:
        ids = torch.randint(0, max(rows // 2, 1), (rows,), generator=generator)
    if roles is None:
        roles = torch.randint(-1, 3, (rows,), generator=generator)
    return Batch(batch.embeddings, batch.prototypes, ids, roles, uniforms(rows))


def uniforms(rows):
    """Return the draws of the multinomial estimator."""
    return torch.rand(2, rows, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def objective(batch, upstream=(1.0, None, None, None), **options):
    """Return a problem for hscl_loss; ``upstream`` are the gradients of the total and of the three terms."""
    options = {"temperature": 0.5, **options}
    if options.get("na_estimator") == "multinomial":
        options["uniforms"] = uniforms(len(batch.ids))
    inputs = {"embeddings": batch.embeddings, "prototypes": batch.prototypes}
    gradients = tuple(share if share is None else torch.tensor(share) for share in upstream)
    return LossProblem(hscl_loss, (*TERMS, "weights"), inputs, (batch.ids, batch.roles), gradients, options)


def solve(problem, backend, dtype=None, device=CPU):
    """Return outputs and gradients (``d/dNAME``) by name; the inputs as they are, or in ``dtype``."""
    return problem.prepare(backend, dtype, device)()


def assert_within_budget(problem, backend, dtype, device=CPU, *, budgets=1):
    """Hold every output and gradient of a form to the self-check's budget; a nearest prototype must be exact."""
    values = hold(problem, "", backend, dtype, device)
    failures = [v for v in values if not v.share <= budgets or (v.name == "index" and v.error > 0)]
    assert not failures, "\n".join(map(str, failures))
