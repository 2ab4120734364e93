"""Hostile checkpoints and calibrations under a manifest whose checksums are right."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile

import safetensors.torch
import torch

from hostile.build import code, copy, edit_json, fifo, replace_text, sha256, sparse
from hostile.case import Case

RESUME = ("train", "--out", "run", "--resume")
EVAL = ("eval", "run", "--name", "again")
PREDICT = ("predict", "run", "photos", "--out", "out.csv")
LAST = "run/checkpoints/last"
CALIBRATION = "run/calibration"


def replace_file(folder, kind, data):
    """Put bytes in the place of a file of a checkpoint, with its name and checksum in the manifest."""
    manifest = json.loads((folder / "checkpoint.json").read_text())
    if kind in manifest["files"]:
        (folder / manifest["files"][kind]["name"]).unlink()
    digest = sha256(data)
    name = f"{kind}-{digest[:16]}.{'pt' if kind == 'state' else 'safetensors'}"
    (folder / name).write_bytes(data)
    manifest["files"][kind] = {"name": name, "sha256": digest}
    (folder / "checkpoint.json").write_text(json.dumps(manifest))


def file_of(folder, kind):
    """The path of a file of a checkpoint."""
    return folder / json.loads((folder / "checkpoint.json").read_text())["files"][kind]["name"]


def saved(value):
    """A state as torch saves it."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def safetensors_file(header, body=b""):
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def repacked(data, pickled=None, method=zipfile.ZIP_STORED, more=None):
    """A saved state with another pickle, another compression or more members."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", method) as new:
        for member in old.namelist():
            is_pickle = member.endswith("data.pkl")
            new.writestr(member, pickled if is_pickle and pickled is not None else old.read(member))
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return file.getvalue()


def call(module, name, argument):
    """A pickle that calls a function of one argument."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + argument + b"\x85R."


def nested_tuples(depth=60):
    """A pickle of a dictionary whose key takes 2**60 steps to hash."""
    return b"\x80\x02})" + b"".join(b"q\1h\1\x86" for _ in range(depth)) + b"Ks."


def state_with(edit):
    """The saved state with a value changed."""

    def data(box):
        state = torch.load(file_of(box.work / LAST, "state"), weights_only=True)
        other = edit(state)
        return saved(state if other is None else other)

    return data


def bomb(box):
    """A state whose tensor takes 3 GiB and is compressed to a thousandth."""
    count = 3 << 28
    small = saved({"rate": torch.zeros(7, dtype=torch.float32)})
    pickled = zipfile.ZipFile(io.BytesIO(small)).read("archive/data.pkl")
    longer = pickled.replace(b"K\x07", b"J" + struct.pack("<i", count))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", longer)
        archive.writestr("archive/byteorder", "little")
        with archive.open("archive/data/0", "w", force_zip64=True) as member:
            for _ in range(count * 4 >> 24):
                member.write(bytes(1 << 24))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def first_tensor(value):
    """The first list of tensors of a state, and its key."""
    return next((key, item) for key, item in value["optimizer"].items() if isinstance(item, list))


def set_moment(make):
    """An edit of the first of the optimizer's moments: ``make(tensor)`` returns what takes its place."""

    def edit(state):
        key, tensors = first_tensor(state)
        state["optimizer"][key] = [make(tensors[0]), *tensors[1:]]

    return edit


STATES = {
    "code": lambda box: code(box),
    "code_in_archive": lambda box: repacked(saved({}), pickled=code(box)),
    "code_of_protocol_4": lambda box: repacked(saved({}), pickled=code(box, 4)),
    "eval": lambda box: repacked(saved({}), pickled=call("builtins", "eval", b"X\1\0\0\x001")),
    "bytearray_bomb": lambda box: repacked(saved({}), call("builtins", "bytearray", b"\x8a\5\0\0\0\0\1")),
    "nested_tuples": lambda box: repacked(saved({}), pickled=nested_tuples()),
    "zip_bomb": bomb,
    "script": lambda box: repacked(saved({}), more={"archive/constants.pkl": b"\x80\2)."}),
    "traversal": lambda box: repacked(saved({}), more={"../outside/executed": b"x"}),
    "half": lambda box: file_of(box.work / LAST, "state").read_bytes()[:2000],
    "empty": lambda box: b"",
    "text": lambda box: b"{}",
    "tar": lambda box: b"ustar".ljust(10240, b"\0"),
    "old_format": lambda box: pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1001) + code(box),
    "list": lambda box: saved([1, 2]),
    "none": lambda box: saved(None),
    "no_keys": lambda box: saved({}),
    "number_in_place_of_tensor": state_with(set_moment(lambda tensor: 5)),
    "text_in_place_of_list": state_with(lambda state: state["optimizer"].update({first_tensor(state)[0]: "x"})),
    "none_in_place_of_dictionary": state_with(lambda state: state.update(optimizer=None)),
    "shape": state_with(set_moment(lambda tensor: tensor.reshape(-1)[:1])),
    "one_value_as_terabytes": state_with(set_moment(lambda tensor: torch.zeros(1).expand(1 << 40))),
    "sparse_tensor": state_with(set_moment(lambda tensor: tensor.to_sparse())),
    "quantized": state_with(set_moment(lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8))),
    "meta_tensor": state_with(set_moment(lambda tensor: tensor.to("meta"))),
}


def tensor_entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    """A safetensors header of one tensor."""
    return {"a": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


def weights_with(edit):
    """The saved weights with a tensor changed."""

    def data(box):
        weights = safetensors.torch.load(file_of(box.work / LAST, "weights").read_bytes())
        edit(weights)
        return safetensors.torch.save(weights)

    return data


def set_first(make):
    """An edit of the first tensor of floats."""

    def edit(weights):
        name = next(name for name, tensor in weights.items() if tensor.dtype == torch.float32)
        weights[name] = make(weights[name])

    return edit


WEIGHTS = {
    "pickle": lambda box: code(box),
    "empty": lambda box: b"",
    "header_length": lambda box: struct.pack("<Q", 2**63) + b"{}",
    "header_not_json": lambda box: safetensors_file(b"\xff" * 100),
    "header_deep": lambda box: safetensors_file(b'{"a":' * 100_000),
    "header_is_list": lambda box: safetensors_file(b"[]"),
    "offsets_beyond": lambda box: safetensors_file(tensor_entry(offsets=(0, 2**60))),
    "offsets_backward": lambda box: safetensors_file(tensor_entry(offsets=(8, 0)), bytes(8)),
    "offsets_negative": lambda box: safetensors_file(tensor_entry(offsets=(-8, 0)), bytes(8)),
    "shape_lies": lambda box: safetensors_file(tensor_entry(shape=(2**40, 2**40)), bytes(8)),
    "dtype_unknown": lambda box: safetensors_file(tensor_entry("F33"), bytes(8)),
    "dtype_of_4_bits": lambda box: safetensors_file(tensor_entry("F4", (16,)), bytes(8)),
    "dtype_of_6_bits": lambda box: safetensors_file(tensor_entry("F6_E2M3", (4,), (0, 3)), bytes(3)),
    "dtype_exponent": lambda box: safetensors_file(tensor_entry("F8_E8M0", (8,)), bytes(8)),
    "no_tensors": lambda box: safetensors_file({}),
    "other_names": lambda box: safetensors_file(tensor_entry(), bytes(8)),
    "shape": weights_with(set_first(lambda tensor: tensor[:1].clone())),
}


def of_bytes(kind, number, name, data):
    """A checkpoint with one file of those bytes, read by the commands in turn; the state by ``--resume`` only."""

    def make(box):
        copy(box, "run", "photos")
        replace_file(box.work / LAST, kind, data(box))

    command = RESUME if kind == "state" else (RESUME, EVAL, PREDICT)[number % 3]
    slow = name == "zip_bomb"
    return Case(f"checkpoint-{kind}", name, make, command, 2, "run", ("run/.lock",), slow)


def keyed(*path_and_value):
    """An edit of JSON that sets the value at a path of keys; the value ``...`` deletes it."""
    *path, last, value = path_and_value

    def edit(plain):
        for key in path:
            plain = plain[key]
        if value is ...:
            del plain[last]
        else:
            plain[last] = value

    return edit


MANIFESTS = {
    "name_traversal": keyed("files", "weights", "name", "../../../../outside/secret.png"),
    "name_absolute": keyed("files", "weights", "name", "/etc/passwd"),
    "name_newline": keyed("files", "weights", "name", "weights-0123456789abcdef.safetensors\n"),
    "name_of_list": keyed("files", "weights", "name", ["a"]),
    "sha256": keyed("files", "weights", "sha256", "0" * 64),
    "no_weights": keyed("files", "weights", ...),
    "no_files": keyed("files", {}),
    "format": keyed("format", 2),
    "unknown_file": keyed("files", "code", {"name": "x", "sha256": "0" * 64}),
    "step_negative": keyed("info", "step", -1),
    "step_huge": keyed("info", "step", 10**30),
    "step_text": keyed("info", "step", "5"),
    "step_gone": keyed("info", {}),
    "seconds_huge": keyed("info", "seconds", 10**400),
    "seconds_negative": keyed("info", "seconds", -1.0),
    "seconds_text": keyed("info", "seconds", "long"),
    "auroc_above_one": keyed("info", "best_auroc", 1.5),
    "auroc_text": keyed("info", "best_auroc", []),
    "info_deep": keyed("info", "x", json.loads("[" * 500 + "]" * 500)),
}
CALIBRATIONS = {
    "threshold_text": keyed("info", "threshold", "0.5"),
    "threshold_gone": keyed("info", "threshold", ...),
    "direction_gone": keyed("info", "score_direction", ...),
    "direction_other": keyed("info", "score_direction", "higher is more normal"),
    "scoring": keyed("info", "scoring", "../knn"),
    "scoring_knn": keyed("info", "scoring", "knn"),
    "scoring_contrast": keyed("info", "scoring", "contrast"),
    "checkpoint": keyed("info", "checkpoint", "../../outside"),
    "step": keyed("info", "step", 10**9),
    "image_size": keyed("info", "image_size", 10**6),
    "image_size_bool": keyed("info", "image_size", True),
    "image_size_differs": keyed("info", "image_size", 1024),
    "source_of_megabytes": keyed("info", "threshold_source", ["x" * 5_000_000]),
}


def of_manifest(folder, command, number, name, edit, kind):
    """A manifest with one value changed."""

    def make(box):
        copy(box, "run", "photos")
        edit_json(box.work / folder / "checkpoint.json", edit)

    return Case(kind, name, make, command, 2, "run", ("run/.lock",))


def of_path(name, change, command=EVAL):
    """A checkpoint whose files are something else."""

    def make(box):
        copy(box, "run", "photos")
        change(box.work / LAST, box)

    return Case("checkpoint", name, make, command, 2, "run", ("run/.lock",))


def to_outside(path, box):
    """The weights are a link to a file outside of the run."""
    weights = file_of(path, "weights")
    weights.unlink()
    weights.symlink_to(box.outside / "secret.txt")


def folder_outside(path, box):
    """The checkpoint's folder is a link out of the run, where ``--resume`` would write."""
    shutil.move(path, box.outside / "last")
    path.symlink_to(box.outside / "last")


CASES = [
    *(of_bytes("state", number, name, data) for number, (name, data) in enumerate(STATES.items())),
    *(of_bytes("weights", number, name, data) for number, (name, data) in enumerate(WEIGHTS.items())),
    *(
        of_manifest(LAST, (RESUME, EVAL, PREDICT)[number % 3], number, name, edit, "checkpoint")
        for number, (name, edit) in enumerate(MANIFESTS.items())
    ),
    *(
        of_manifest(CALIBRATION, PREDICT, number, name, edit, "calibration")
        for number, (name, edit) in enumerate(CALIBRATIONS.items())
    ),
    of_path("manifest_sparse", lambda path, box: sparse(path / "checkpoint.json")),
    of_path("manifest_pipe", lambda path, box: fifo(path / "checkpoint.json")),
    of_path("manifest_empty", lambda path, box: replace_text(path / "checkpoint.json", "")),
    of_path("weights_sparse", lambda path, box: sparse(file_of(path, "weights"))),
    of_path("weights_pipe", lambda path, box: fifo(file_of(path, "weights"))),
    of_path("state_sparse", lambda path, box: sparse(file_of(path, "state")), RESUME),
    of_path("weights_gone", lambda path, box: os.remove(file_of(path, "weights"))),
    of_path("weights_outside", to_outside),
    of_path("folder_outside", folder_outside, RESUME),
]
