"""Eq. 9's score and the weights, against their definitions."""

import pytest
import torch
from hscl_kernels import prototype_similarity
from hscl_kernels.prototypes.reference import normal_weights, sample_to_prototype


def test_similarity_is_the_largest_cosine():
    z = torch.randn(20, 6, dtype=torch.float64) * 100
    v = torch.randn(5, 6, dtype=torch.float64) / 100
    similarity, index = prototype_similarity(z, v)
    cosines = torch.nn.functional.cosine_similarity(z[:, None], v[None], dim=2)
    torch.testing.assert_close(similarity, cosines.max(dim=1).values)
    assert index.tolist() == cosines.argmax(dim=1).tolist()


def test_a_tie_goes_to_the_lowest_prototype_with_its_whole_gradient():
    z = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)
    v = torch.tensor([[0, 0, 1.0], [1.0, 0, 0], [1.0, 0, 0]], dtype=torch.float64, requires_grad=True)
    similarity, index = prototype_similarity(z, v)
    similarity.sum().backward()
    assert index.item() == 1
    assert v.grad[1].abs().sum() > 0
    assert not v.grad[[0, 2]].any()


def test_zero_vectors_score_zero():
    similarity, _ = prototype_similarity(torch.zeros(2, 4), torch.randn(3, 4))
    assert similarity.tolist() == [0, 0]


def test_weights_are_equation_3_and_5_and_carry_no_gradient():
    m = torch.tensor([-1.0, 0.2, 0.6, 0.9, 0.5], requires_grad=True)
    weights = normal_weights(m, torch.tensor([0, 0, 1, -1, 2]))
    assert weights.tolist() == pytest.approx([0, 0.6, 1, 0, 0])
    assert not weights.requires_grad


def test_sample_to_prototype_is_equation_4():
    m = torch.tensor([0.2, 0.6, 0.9, -0.5], dtype=torch.float64)
    roles = torch.tensor([0, 1, -1, -1])
    w = normal_weights(m, roles)
    expected = ((0.6 * 0.8) ** 2 + 0.4**2) / 1.6 + 0.9**2 / 2
    assert sample_to_prototype(m, w, roles).item() == pytest.approx(expected)
