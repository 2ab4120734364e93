"""The released objective against recorded outputs of the released code."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hscl_fast.method.released_loss import released_loss

GOLDEN = Path(__file__).parents[1] / "golden"


def load(name):
    with np.load(GOLDEN / f"released_losses_{name}.npz") as arrays:
        return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}


def close(actual, expected, scale):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * float(scale.abs().max()))


@pytest.mark.parametrize("name", ["a", "b"])
def test_values_and_gradients_are_the_recorded_ones(name):
    golden = load(name)
    z = golden["embeddings"].clone().requires_grad_()
    v = golden["prototypes"].T.contiguous().requires_grad_()
    roles = golden["roles"].repeat(len(z) // len(golden["roles"]))
    draws = tuple(golden[key] for key in sorted(k for k in golden if k.startswith("draw")))
    loss = released_loss(z, v, roles, temperature=float(golden["temperature"]), draws=draws)

    assert loss.nt_xent.item() == pytest.approx(golden["nt_xent"].item(), rel=1e-5)
    assert loss.convex.item() == pytest.approx(golden["convex"].item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss.nt_xent, z, retain_graph=True)
    close(gradient, golden["nt_xent_grad"], golden["nt_xent_grad"])
    by_embedding, by_prototype = torch.autograd.grad(loss.convex, (z, v))
    close(by_embedding, golden["convex_grad_embeddings"], golden["convex_grad_embeddings"])
    close(by_prototype.T, golden["convex_grad_prototypes"], golden["convex_grad_prototypes"])


@pytest.mark.parametrize("roles", [[0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 0]])
def test_a_batch_without_either_label_has_no_convex_term(roles):
    z = torch.randn(32, 8, requires_grad=True)
    v = torch.randn(1, 8, requires_grad=True)
    loss = released_loss(z, v, torch.tensor(roles * 8))
    gradients = torch.autograd.grad(loss.convex, (z, v), allow_unused=True)
    assert loss.convex.item() == 0
    assert not any(g is not None and g.any() for g in gradients)


def test_own_draws_come_from_the_allowed_rows():
    """With every unlabelled row below the threshold, anchors and positives are labelled normals only."""
    v = torch.zeros(1, 4)
    v[0, 0] = 1
    roles = torch.tensor([0, 1, 0, -1] * 8)
    z = torch.randn(32, 4) * 0.01
    z[:, 0] = torch.where(roles == 0, -1.0, 1.0)
    z = z.requires_grad_()
    loss = released_loss(z, v, roles)
    (gradient,) = torch.autograd.grad(loss.convex, z)
    assert gradient[roles == 1].any()
    assert gradient[roles == -1].any()
    assert not gradient[roles == 0].any()
