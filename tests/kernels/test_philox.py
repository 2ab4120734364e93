"""The generator against Random123's published answers, and what is built on it."""

import pytest
import torch
from hscl_kernels.philox import philox4x32, random_uniforms, random_words

# counter, key, words: kat_vectors of Random123, philox4x32 with 10 rounds
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    result = philox4x32(tuple(map(torch.tensor, counter)), tuple(map(torch.tensor, key)))
    assert result.tolist() == words


def words(seed=1, step=2, index=None, row=0, count=8, stream=0):
    index = torch.arange(50) if index is None else index
    return random_words(torch.tensor(seed), torch.tensor(step), index, torch.tensor(row), count, stream=stream)


def test_a_word_depends_on_its_item_and_not_on_the_others():
    order = torch.randperm(50)
    assert torch.equal(words(index=order), words()[:, order])
    assert torch.equal(words(count=30)[:8], words())


@pytest.mark.parametrize("change", [{"seed": 2**40 + 1}, {"step": 3}, {"step": 2 + 2**32}, {"row": 1}, {"stream": 1}])
def test_every_part_of_the_counter_matters(change):
    assert (words(**change) != words()).float().mean() > 0.99


def test_uniforms_are_uniform_and_uncorrelated():
    u = random_uniforms(torch.tensor(0), torch.tensor(0), torch.arange(20000), torch.tensor(0), 6, stream=0)
    assert u.min() > 0
    assert u.max() < 1
    assert u.mean(dim=1).tolist() == pytest.approx([0.5] * 6, abs=0.01)
    histogram = torch.stack([torch.histc(row, 10, 0, 1) for row in u])
    assert ((histogram - 2000) ** 2 / 2000).sum(dim=1).max() < 35  # chi-square, 9 degrees: p < 1e-4 above
    correlations = torch.corrcoef(u) - torch.eye(6, dtype=u.dtype)
    assert correlations.abs().max() < 0.03
