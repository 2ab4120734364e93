"""Hostile files of labels: what a browser, a colleague or an attacker puts into ``labels.csv``."""

from hostile.build import copy, fifo, replace_text, sparse
from hostile.case import Case

COMMAND = ("train", "photos", "--data.labels", "labels.csv", "--out", "out", "--recipe", "cpu")
HEADER = "path,label\n"
GOOD = HEADER + "train/unlabeled/0.png,normal\n"

TEXTS = {
    "empty": "",
    "header_only": HEADER,
    "no_header": "train/unlabeled/0.png,normal\n",
    "column_twice": "path,label,label\n",
    "column_missing": "path,score\na,1\n",
    "script": GOOD + '"""><script>alert(1)</script>",normal\n',
    "formula": GOOD + "=cmd|'/c calc'!A0,normal\n",
    "label_formula": HEADER + "train/unlabeled/0.png,=1+1\n",
    "parent": GOOD + "../outside/secret.png,normal\n",
    "absolute": GOOD + "/etc/passwd,abnormal\n",
    "nul": GOOD + "a\0b.png,normal\n",
    "escape": GOOD + '"\x1b[2Jowned\n.png",normal\n',
    "long_name": GOOD + "a/" * 100_000 + ".png,normal\n",
    "long_label": HEADER + f"train/unlabeled/0.png,{'1' * 100_000}\n",
    "contradiction": GOOD + "train/unlabeled/0.png,abnormal\n",
    "test_image": GOOD + "test/normal/0.png,normal\n",
    "unknown": HEADER + "".join(f"missing{i}.png,normal\n" for i in range(2_000)),
    "quote": GOOD + '"train/unlabeled/1.png,normal\n',
    "return": GOOD + "a\rb.png,normal\n",
    "fields": GOOD + "a,b,c\n",
    "latin1": HEADER.encode() + "größe.png,normal\n".encode("latin1"),
    "utf16": GOOD.encode("utf-16"),
    "binary": bytes(range(256)) * 50,
}


def text_case(name, text):
    """A file of labels of that text."""

    def make(box):
        copy(box, "photos")
        replace_text(box.work / "labels.csv", text)

    return Case("labels", name, make, COMMAND, culprit="labels.csv")


def file_case(name, make):
    """A file of labels that is made by a function."""

    def prepare(box):
        copy(box, "photos")
        make(box.work / "labels.csv")

    return Case("labels", name, prepare, COMMAND, culprit="labels.csv")


CASES = [
    *(text_case(name, text) for name, text in TEXTS.items()),
    file_case("fifo", fifo),
    file_case("sparse", sparse),
    file_case("folder", lambda path: path.mkdir()),
]
