"""The table of ``hscl watch`` loses no row, whatever happened to it before."""

import csv
import io

import pytest

from hscl_fast.errors import UsageError
from hscl_fast.evaluation.predictions import Predictions
from hscl_fast.runs.growing_table import GrowingTable

HEAD = "path,anomaly_score,decision,error\n"
ROW = "a.png,0.5,abnormal,\n"
ODD = ['"><script>,', "new\nline.png", "return\r.png", "\udcff.png", "=1+1.png", ""]


def scored(*names):
    return Predictions(names, [-1.0] * len(names), [""] * len(names), 0.0, range(len(names)))


def test_rows_are_appended_and_known_after_a_restart(tmp_path):
    path = tmp_path / "scores.csv"
    with GrowingTable(path) as table:
        assert not table.paths
        table.append(scored(*ODD[:3]))
        table.append(Predictions(ODD[3:], [None] * 3, ["it is, well, bad"] * 3, 0.0, range(3)))
    with GrowingTable(path) as table:
        assert all(name in table for name in ODD)
        assert "b.png" not in table
        table.append(scored("b.png"))
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert [len(row) for row in rows] == [4] * 8
    assert rows[-1][0] == "b.png"


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        *(
            (cut, ROW)
            for cut in ("b", "b.png,", "b.png,0.12", "b.png,0.125,abn", 'b.png,,,"it is', '"b\n', "b.png,,,it is")
        ),
        ("b.png,0.125,normal,", ROW + "b.png,0.125,normal,\n"),
        ("", ROW),
    ],
)
def test_a_row_that_was_cut_short_is_removed_and_a_whole_one_ended(tmp_path, end, kept):
    path = tmp_path / "scores.csv"
    path.write_text(HEAD + ROW + end)
    with GrowingTable(path) as table:
        assert ("b.png" in table) == ("b.png" in kept)
    assert path.read_text() == HEAD + kept


def test_a_letter_that_was_cut_in_two(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_bytes((HEAD + ROW + "ä").encode()[:-1])
    with GrowingTable(path) as table:
        assert table.paths == {"a.png"}
    assert path.read_text() == HEAD + ROW


@pytest.mark.parametrize(
    "content",
    [
        b"path,label,split\na.png,1,train\n",
        b"\x89PNG\r\n\xff\xfe more",
        b"hello",
        (HEAD + "a,b\n" + ROW).encode(),
        b"\n",
    ],
)
def test_another_file_is_refused_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is not a table that `hscl watch` or `hscl predict` wrote"):
        GrowingTable(path)
    assert path.read_bytes() == content


def test_two_cannot_write_it_at_a_time(tmp_path):
    path = tmp_path / "scores.csv"
    with GrowingTable(path), pytest.raises(UsageError, match="is being written by another `hscl watch`"):
        GrowingTable(path)
    with GrowingTable(path):
        pass


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        GrowingTable(tmp_path / "nowhere" / "scores.csv")
    with pytest.raises(UsageError, match="cannot be written"):
        GrowingTable(tmp_path / ("a" * 300))
