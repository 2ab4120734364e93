import math

import pytest
import torch
from hscl_kernels import unit

from hscl_fast.comparators.blocks.prototype_energy import (
    energy,
    energy_loss,
    number_of_prototypes,
    spherical_k_means,
)
from hscl_fast.errors import UsageError


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_energy_lies_between_its_bounds_and_is_highest_at_the_prototypes():
    prototypes = unit(noise(1, 16)).expand(10, -1)
    energies = energy(torch.stack((prototypes[0], -prototypes[0])), prototypes)
    assert energies.tolist() == pytest.approx([math.log(10) + 2, math.log(10) - 2], rel=1e-5)


def test_the_loss_raises_the_energy_of_ordinary_images_and_lowers_that_of_labelled_anomalies():
    prototypes, roles = unit(noise(10, 16) + 1), torch.tensor([1, 0, -1])
    embeddings = noise(3, 16).requires_grad_()
    before = energy(unit(embeddings), prototypes).tolist()
    for _ in range(50):
        (gradient,) = torch.autograd.grad(energy_loss(energy(unit(embeddings), prototypes), roles, 10), embeddings)
        embeddings.data -= 30 * gradient
    after = energy(unit(embeddings), prototypes).tolist()
    assert after[0] > before[0] + 0.1
    assert after[1] > before[1] + 0.1
    assert after[2] < before[2] - 0.1


def test_the_loss_is_one_over_the_energy_or_over_what_is_missing_to_the_highest():
    energies = torch.tensor([2.0, 4.0, 1.0])
    expected = (1 / 2 + 1 / 4 + 1 / (math.log(10) + 2 - 1)) / 3
    assert energy_loss(energies, torch.tensor([1, 0, -1]), 10).item() == pytest.approx(expected, rel=1e-5)


def test_k_means_finds_directions():
    directions = unit(noise(8, 16))
    rows = unit(directions.repeat(20, 1) + 0.02 * torch.randn(160, 16, generator=torch.Generator().manual_seed(1)))
    found = spherical_k_means(rows, 8, seed=0)
    assert found.norm(dim=1).tolist() == pytest.approx([1] * 8, rel=1e-5)
    assert ((found @ directions.T).amax(dim=0) > 0.9).sum() >= 6  # one start of k-means may join two of them


def test_there_are_as_many_prototypes_as_the_energy_needs_to_be_positive():
    assert number_of_prototypes(5000) == 50
    assert number_of_prototypes(8) == 8
    assert math.log(8) - 2 > 0 > math.log(7) - 2
    with pytest.raises(UsageError, match=r"has 7 images .* at least 8"):
        number_of_prototypes(7)
