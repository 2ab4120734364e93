"""The comparison of rankings in ``benchmarks.suspects``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.suspects.__main__ import comparison
from benchmarks.suspects.rankings import Ranking, truth_of
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import UNLABELLED

HIDDEN = np.arange(200) % 4 == 0  # 50 of 200


def test_a_ranking_is_measured_by_what_is_found_first() -> None:
    perfect = Ranking("perfect", np.sort(HIDDEN)[::-1])
    assert (perfect.found(25), perfect.found(50), perfect.precision_at_hidden) == (0.5, 1.0, 1.0)
    assert perfect.average_precision == 1
    assert Ranking("worst", np.sort(HIDDEN)).found(100) == 0


def test_the_table_has_chance_and_the_best_beside_the_rankings() -> None:
    rows = comparison([Ranking("alternating", HIDDEN)]).splitlines()[2:]
    assert rows[0].startswith("| alternating | 26.0 % | 50.0 % | 26.0 % |")
    assert rows[1] == "| random order, expected | 25.0 % | 50.0 % | 25.0 % | 25.0 % |"
    assert rows[2] == "| best possible | 100.0 % | 100.0 % | 100.0 % | 100.0 % |"


def test_the_truth_may_come_from_a_list_of_names(digits: Split, tmp_path: Path) -> None:
    names, hidden = truth_of(digits, None)
    roles = digits.training.roles
    assert names == [name for name, role in zip(digits.training_names, roles, strict=True) if role == UNLABELLED]
    listed = tmp_path / "hidden.txt"
    listed.write_text("\n".join(name for name, flag in zip(names, hidden, strict=True) if flag))
    np.testing.assert_array_equal(truth_of(digits, listed)[1], hidden)
    listed.write_text("no_such_image.png")
    with pytest.raises(SystemExit, match="of 1 names"):
        truth_of(digits, listed)
    unknown = digits.record.train.model_copy(update={"label": [-1] * len(digits.record.train.label)})
    with pytest.raises(SystemExit, match="--truth"):
        truth_of(replace(digits, record=digits.record.model_copy(update={"train": unknown})), None)
