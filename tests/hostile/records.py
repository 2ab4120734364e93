"""Hostile split records: wrong values under a right checksum, paths that leave the folder, JSON that grows."""

import json

from hostile.build import copy, edit_json, fifo, replace_text, sparse
from hostile.case import REFUSED, Case
from hscl_fast.data.split.record import checksum

COMMAND = ("train", "photos", "--data.split_record", "split.json", "--out", "out", "--recipe", "cpu")
# These are names of files that are not there.
_MISSING = ("backslash", "escape", "long_name", "surrogate")


def put(*path_and_value):
    """An edit that sets the value at a path of keys."""
    *path, last, value = path_and_value

    def edit(record):
        for key in path:
            record = record[key]
        record[last] = value

    return edit


def repeat_image(record):
    """The first image in place of the second."""
    record["train"]["image"][1] = record["train"]["image"][0]


def test_on_training(record):
    """A training image among the test images."""
    record["test"]["image"][0] = record["train"]["image"][0]


def move_first(record):
    """The first image is a path out of the folder that leads in again."""
    record["train"]["image"][0] = "../photos/" + record["train"]["image"][0]


def drop(record):
    """One role less than images."""
    record["train"]["role"].pop()


EDITS = {
    "parent": put("train", "image", 0, "../outside/secret.png"),
    "parent_and_back": move_first,
    "absolute": put("train", "image", 0, "/etc/passwd"),
    "backslash": put("train", "image", 0, "..\\secret.png"),
    "nul": put("train", "image", 0, "a\0.png"),
    "surrogate": put("train", "image", 0, "\ud800.png"),
    "escape": put("train", "image", 0, "\x1b[2J\n.png"),
    "long_name": put("train", "image", 0, "a" * 100_000),
    "number_as_path": put("train", "image", 0, 5),
    "list_as_path": put("train", "image", 0, [[["a"]]]),
    "image_twice": repeat_image,
    "train_and_test": test_on_training,
    "role": put("train", "role", 0, 2),
    "role_bool": put("train", "role", 0, True),
    "role_float": put("train", "role", 0, 1.0),
    "label": put("train", "label", 0, 99),
    "label_huge": put("test", "label", 0, 10**30),
    "label_of_test_unknown": put("test", "label", 0, -1),
    "lengths": drop,
    "no_images": put("train", {"image": [], "part": [], "role": [], "label": []}),
    "part": put("train", "part", 0, "both"),
    "normal_class": put("normal_class", 9),
    "class_names": put("class_names", []),
    "class_twice": put("class_names", ["normal", "normal"]),
    "seed": put("seed", "0"),
    "ratio": put("held_out_ratio", "0.2"),
    "version": put("version", True),
    "format": put("format", "hscl-beton"),
    "kind": put("kind", "named"),
    "protocol": put("protocol", "elsa"),
    "sha256": put("sha256", "0" * 64),
    "sha256_upper": put("sha256", "A" * 64),
    "unknown_key": put("__class__", {"a": 1}),
    "train_is_list": put("train", []),
    "train_is_none": put("train", None),
}
TEXTS = {
    "empty": "",
    "half": '{"format": "hscl-split", "version": 1, "name": "ph',
    "not_an_object": "[]",
    "nan": '{"format": NaN}',
    "infinity": '{"version": 1e999}',
    "deep": '{"a":' * 100_000,
    "long_integer": '{"version": ' + "9" * 100_000 + "}",
    "latin1": '{"name": "größe"}'.encode("latin1"),
    "utf16": '{"name": "a"}'.encode("utf-16"),
    "bom": "\ufeff{}",
    "html": "<!DOCTYPE html>" * 1000,
}


def edited(name, edit):
    """A record with one value changed and its checksum made right, which is no secret."""

    def make(box):
        copy(box, "photos", "run")
        record = json.loads((box.work / "run/split.json").read_text())
        edit(record)
        record["checksum"] = checksum(record)
        (box.work / "split.json").write_text(json.dumps(record))

    return Case("record", name, make, COMMAND, culprit="photos" if name in _MISSING else "split.json")


def of_text(name, text):
    """A record of any text."""

    def make(box):
        copy(box, "photos")
        replace_text(box.work / "split.json", text)

    return Case("record", name, make, COMMAND, culprit="split.json")


def of_file(name, write, slow=False):
    """A record that is made by a function of its path."""

    def make(box):
        copy(box, "photos")
        write(box.work / "split.json")

    return Case("record", name, make, COMMAND, culprit="split.json", slow=slow)


def of_parts(start, part, count, end):
    """A writer of a large JSON file."""
    return lambda path: path.write_text(start + ",".join([part] * count) + end)


def in_run(name, change, culprit="split.json"):
    """The record of a run, which ``hscl eval`` reads."""

    def make(box):
        copy(box, "photos", "run")
        change(box)

    command = ("eval", "run", "--overwrite", "--root", "photos")
    return Case("record", f"run_{name}", make, command, REFUSED, culprit, may_change=("run/.lock",))


def link_in_folder(box):
    """An image of the record is a link out of the folder."""
    image = json.loads((box.work / "run/split.json").read_text())["train"]["image"][0]
    (box.work / "photos" / image).unlink()
    (box.work / "photos" / image).symlink_to(box.outside / "secret.png")


CASES = [
    *(edited(name, edit) for name, edit in EDITS.items()),
    *(of_text(name, text) for name, text in TEXTS.items()),
    of_file("sparse", sparse),
    of_file("pipe", fifo),
    of_file("folder", lambda path: path.mkdir()),
    of_file("million_wrong_roles", of_parts('{"train": {"role": [', '"x"', 5_000_000, "]}}"), slow=True),
    of_file("million_objects", of_parts('{"a": [', "{}", 40_000_000, "]}"), slow=True),
    of_file("million_keys", lambda path: path.write_text(json.dumps({str(i): i for i in range(1_000_000)})), slow=True),
    in_run("gone", lambda box: (box.work / "run/split.json").unlink()),
    in_run("checksum", lambda box: edit_json(box.work / "run/split.json", put("seed", 77))),
    in_run("link_outside", link_in_folder),
    in_run("image_changed", lambda box: (box.work / "photos/train/normal/0.png").write_bytes(b"x")),
]
