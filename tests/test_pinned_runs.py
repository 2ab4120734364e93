"""Training and scoring compute what they computed when ``golden/pinned_runs.json`` was recorded."""

import json
from pathlib import Path

import pytest
from pinned_runs import RUNS, record

GOLDEN = json.loads((Path(__file__).parent / "golden" / "pinned_runs.json").read_text())
# On other CPUs: rounding errors. In the released objective they may draw another row, and float16 has larger ones.
LOSS = {"paper": 1e-6, "released": 1e-3, "float16": 1e-3}
SCORE = {"paper": 1e-5, "released": 1e-2, "float16": 1e-2}


@pytest.fixture(scope="module")
def recorded():
    return record()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_run_gives_the_recorded_figures(recorded, name):
    was, now = GOLDEN["runs"][name], recorded["runs"][name]
    if recorded["machine"] == GOLDEN["machine"]:
        assert now == was
    kind = "float16" if "float16" in name else name.partition(",")[0]
    assert [row.keys() for row in now["log"]] == [row.keys() for row in was["log"]]
    for before, after in zip(was["log"], now["log"], strict=True):
        losses = before.keys() - {"gradient_norm"}
        assert [after[name] for name in losses] == pytest.approx([before[name] for name in losses], rel=LOSS[kind])
    assert now["scores"] == pytest.approx(was["scores"], abs=SCORE[kind])


def test_a_resumed_run_is_the_uninterrupted_one():
    assert GOLDEN["runs"]["paper, cpu, resumed"] == GOLDEN["runs"]["paper, cpu"]
