"""Linear warm-up to the peak, half a cosine to zero."""

import math

import pytest
import torch

from hscl_fast.training.schedule import learning_rate


def rates(warmup, total):
    return [
        learning_rate(torch.tensor(step), peak=2.0, warmup_steps=warmup, total_steps=total).item()
        for step in range(total)
    ]


def test_warm_up_then_cosine():
    values = rates(warmup=10, total=110)
    assert values[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert values[10] == pytest.approx(2.0)
    assert values[60] == pytest.approx(1.0)
    assert values[109] == pytest.approx(1 + math.cos(math.pi * 99 / 100), abs=1e-6)
    assert values[10:] == sorted(values[10:], reverse=True)


@pytest.mark.parametrize(("warmup", "total"), [(0, 5), (5, 5), (0, 1), (1, 1)])
def test_degenerate_lengths_are_finite_and_positive(warmup, total):
    assert all(0 < value <= 2.0 for value in rates(warmup, total))
