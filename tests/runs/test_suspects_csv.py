"""``suspects.csv`` as it is written and read."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hscl_fast.errors import UsageError
from hscl_fast.evaluation.suspects import Suspect, Suspects
from hscl_fast.runs.directory import Results
from hscl_fast.runs.suspects import read_suspects, suspects_csv

HOSTILE = ['"><script>alert(1)</script>.png', "two\nlines,and a comma.png", "=1+1.png", "grün.png", " \r.png"]


def written(folder: Path, *, weight: float | None = 0.25, hidden: bool | None = None) -> tuple[Suspects, Results]:
    images = (Suspect(i, name, 3.5 - i, -i / 4, weight, 0.5, hidden) for i, name in enumerate(HOSTILE, 1))
    suspects = Suspects("", tuple(images))
    results = Results(folder)
    results.suspects.write_bytes(suspects_csv(suspects).encode())
    return suspects, results


@pytest.mark.parametrize(("weight", "hidden"), [(0.25, None), (None, True), (0.25, False)])
def test_what_is_written_is_read(tmp_path: Path, weight: float | None, hidden: bool | None) -> None:
    suspects, results = written(tmp_path, weight=weight, hidden=hidden)
    assert read_suspects(results) == suspects.images
    rows = [*csv.DictReader(results.suspects.open(newline=""))]
    assert [row["path"] for row in rows] == HOSTILE
    assert ("hidden_anomaly" in rows[0]) == (hidden is not None)


def test_bytes_that_are_not_text_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "suspects.csv").write_text(suspects_csv(Suspects("", (Suspect(1, "a\udcff", 0, 0, None, 0, None),))))
    assert read_suspects(Results(tmp_path))[0].path == "a\\udcff"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "", "header"),
        (lambda text: text.replace("rank,", "place,"), "header"),
        (lambda text: text.replace("3,=1", "4,=1"), "rank '4'"),
        (lambda text: text.replace("0.5\n", "nan\n", 1), "'nan'"),
        (lambda text: text + "6,a\n", "2 fields"),
        (lambda text: text + '6,"a\n', "unexpected end"),
    ],
)
def test_damage_is_named(tmp_path: Path, change, reason: str) -> None:
    _, results = written(tmp_path)
    text = results.suspects.read_bytes().decode()
    results.suspects.write_bytes(change(text).encode())
    with pytest.raises(UsageError, match=reason):
        read_suspects(results)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_suspects(Results(tmp_path))
