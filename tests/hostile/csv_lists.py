"""Hostile CSV files: paths that leave the folder, broken text, wrong columns, and files without an end."""

from hostile.build import draw_photos, fifo, replace_text, sparse
from hostile.case import Case

HEADER = "path,label,split\n"
GOOD = "".join(f"photos/train/normal/{i}.png,1,train\nphotos/test/normal/{i}.png,1,test\n" for i in range(4))
ROW = "photos/train/unlabeled/0.png,0,train\n"

TEXTS = {
    "empty": "",
    "no_rows": HEADER,
    "no_header": GOOD,
    "column_twice": "path,path,label,split\n",
    "column_missing": "path,label\na,1\n",
    "parent": HEADER + GOOD + "../outside/secret.png,1,train\n",
    "parent_inside": HEADER + GOOD + "photos/../../outside/secret.png,1,train\n",
    "absolute": HEADER + GOOD + "/etc/passwd,1,train\n",
    "home": HEADER + GOOD + "~/secret.png,1,train\n",
    "url": HEADER + GOOD + "file:///etc/passwd,1,train\n",
    "backslashes": HEADER + GOOD + "..\\outside\\secret.png,1,train\n",
    "nul": HEADER + GOOD + "a\0b.png,1,train\n",
    "escape": HEADER + GOOD + '"\x1b[2Jowned\n.png",1,train\n',
    "long_name": HEADER + GOOD + "a/" * 3000 + ".png,1,train\n",
    "long_field": HEADER + GOOD + "a" * 200_000 + ",1,train\n",
    "long_label": HEADER + GOOD + f"photos/train/unlabeled/0.png,{'1' * 100_000},train\n",
    "label": HEADER + GOOD + ROW.replace(",0,", ",nan,"),
    "label_formula": HEADER + GOOD + ROW.replace(",0,", ",=cmd|'/c calc'!A0,"),
    "split": HEADER + GOOD + ROW.replace("train\n", "validation\n"),
    "unlabelled_test": HEADER + GOOD + ROW.replace(",train\n", ",test\n"),
    "twice": HEADER + GOOD + ROW + ROW,
    "train_and_test": HEADER + GOOD + ROW + ROW.replace(",0,train", ",1,test"),
    "all_abnormal": HEADER + GOOD.replace(",1,", ",-1,"),
    "quote": HEADER + '"photos/train/normal/0.png,1,train\n' + GOOD,
    "fields": HEADER + GOOD + "a,b,c,d,e\n",
    "latin1": HEADER.encode() + "größe.png,1,train\n".encode("latin1"),
    "utf16": (HEADER + GOOD).encode("utf-16"),
    "binary": bytes(range(256)) * 50,
    "missing_files": HEADER + "".join(f"missing{i}.png,1,train\n" for i in range(2_000)),
    "header_of_a_megabyte": "path," + "x" * 120_000 + ",label,split\n" + GOOD,
    "folder": HEADER + GOOD + "photos/train,1,train\n",
}
_FILES = ("long_name", "missing_files")  # these errors name the images
COMMANDS = (
    ("data", "verify", "list.csv"),
    ("data", "prepare", "list.csv", "--out", "out.beton"),
    ("train", "list.csv", "--out", "out", "--recipe", "cpu"),
)


def text_case(number, name, text):
    """A CSV file of that text."""

    def make(box):
        draw_photos(box.work / "photos")
        replace_text(box.work / "list.csv", text)

    return Case("csv", name, make, COMMANDS[number % len(COMMANDS)], culprit="" if name in _FILES else "list.csv")


def link_outside(box):
    """A list of an image that is a link out of the folder."""
    draw_photos(box.work / "photos")
    (box.work / "photos/link.png").symlink_to(box.outside / "secret.png")
    replace_text(box.work / "list.csv", HEADER + GOOD + "photos/link.png,1,train\n")


def many_rows(box):
    """Eight million short lines, in 80 MB."""
    with open(box.work / "list.csv", "w") as file:
        file.write(HEADER)
        file.writelines("a,1,train\n" * 100_000 for _ in range(80))


def file_case(name, make, slow=False):
    """A CSV file that is made by a function."""
    return Case("csv", name, make, COMMANDS[0], culprit="list.csv", slow=slow)


CASES = [
    *(text_case(number, name, text) for number, (name, text) in enumerate(TEXTS.items())),
    file_case("link_outside", link_outside),
    file_case("sparse", lambda box: sparse(box.work / "list.csv")),
    file_case("pipe", lambda box: fifo(box.work / "list.csv")),
    file_case("device", lambda box: (box.work / "list.csv").symlink_to("/dev/zero")),
    file_case("many_rows", many_rows, slow=True),
]
