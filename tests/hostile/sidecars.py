"""Hostile sidecars of a .beton: values that contradict each other or the file, and JSON that grows."""

from hostile.build import copy, edit_json, fifo, replace_text, sparse
from hostile.case import Case
from hostile.records import TEXTS, of_parts, put

COMMANDS = (
    ("data", "verify", "photos.beton"),
    ("train", "photos.beton", "--out", "out", "--recipe", "cpu"),
    ("data", "views", "photos.beton", "--out", "out.png"),
)
EDITS = {
    "bytes": put("bytes", 5),
    "bytes_huge": put("bytes", 2**70),
    "bytes_negative": put("bytes", -1),
    "sha256": put("sha256", "0" * 64),
    "sha256_short": put("sha256", "0"),
    "image_size": put("image_size", 16),
    "image_size_huge": put("image_size", 10**9),
    "image_size_bool": put("image_size", True),
    "encoding": put("encoding", "jpeg"),
    "encoding_path": put("encoding", "../raw"),
    "quality": put("quality", "high"),
    "counts": put("counts", "train", 10**9),
    "counts_negative": put("counts", {"train": -1, "test": 21}),
    "names_missing": put("train", "name", []),
    "no_images": put("train", {"name": [], "label": [], "role": []}),
    "role": put("train", "role", 0, 7),
    "role_of_other_image": put("train", "role", 0, 0),
    "label": put("test", "label", 0, 2**63),
    "label_not_integer": put("test", "label", 0, 0.5),
    "classes": put("class_names", "normal"),
    "class_of_megabytes": put("class_names", 0, "x" * 5_000_000),
    "normal_class": put("normal_class", -1),
    "version": put("version", 2),
    "origin": put("origin", []),
    "skipped": put("skipped", [{"file": "../a"}]),
    "unknown_key": put("bytes2", 1),
}


def edited(number, name, edit):
    """A sidecar with one value changed."""

    def make(box):
        copy(box, "photos.beton", "photos.beton.json")
        edit_json(box.work / "photos.beton.json", edit)

    return Case("sidecar", name, make, COMMANDS[number % 3], culprit="photos.beton")


def of_file(number, name, write, slow=False):
    """A sidecar that is made by a function of its path."""

    def make(box):
        copy(box, "photos.beton")
        write(box.work / "photos.beton.json")

    return Case("sidecar", name, make, COMMANDS[number % 3], culprit="photos.beton.json", slow=slow)


CASES = [
    *(edited(number, name, edit) for number, (name, edit) in enumerate(EDITS.items())),
    *(
        of_file(number, name, lambda path, text=text: replace_text(path, text))
        for number, (name, text) in enumerate(TEXTS.items())
    ),
    of_file(0, "sparse", sparse),
    of_file(0, "pipe", fifo),
    of_file(0, "gone", lambda path: None),
    of_file(0, "million_wrong_labels", of_parts('{"test": {"label": [', "0.5", 5_000_000, "]}}"), slow=True),
    of_file(0, "million_lists", of_parts('{"skipped": [', "[]", 30_000_000, "]}"), slow=True),
]
