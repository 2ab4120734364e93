"""Tables are read back as they were written, whatever a file is called."""

import csv
import io

from hscl_fast.csv_text import csv_text
from hscl_fast.evaluation.scores_csv import scores_csv

NAMES = [
    *('"><script>alert(1)</script>.png', "line\nbreak.png", "return\rhere.png", "both\r\n.png", "=1+1.png"),
    *(" space .png", 'a,"b";c.png', "", "ä\u2028.png"),
]


def read(text):
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_every_name_comes_back():
    rows = [[name, "normal"] for name in NAMES]
    assert read(csv_text(["path", "label"], rows)) == [["path", "label"], *rows]
    table = read(scores_csv(NAMES, [0.5] * len(NAMES), 0.0, error=[""] * len(NAMES)))
    assert [row[0] for row in table[1:]] == NAMES


def test_bytes_that_are_not_utf8_are_escaped():
    assert csv_text(["path"], [["\udcff.png"]]) == "path\n\\udcff.png\n"
