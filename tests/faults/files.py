"""Whether files are whole, and what of them must be the same after a fault."""

import hashlib
import json
import re

import safetensors.torch
import torch
import yaml

from hscl_fast.data.beton.reader import open_beton
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint

LEFTOVER = re.compile(r"\.[0-9a-f]{16}\.tmp")


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def leftovers(folder):
    return [path for path in files(folder) if LEFTOVER.fullmatch(path.name)]


def assert_whole(folder):
    """Every file under its own name is complete; what is incomplete has the name of a temporary file."""
    for path in files(folder):
        if LEFTOVER.fullmatch(path.name) or path.name == ".lock":
            continue
        check = CHECKS.get(path.suffix)
        assert check, path
        check(path)
        if path.name == MANIFEST:
            # A comparator that is trained to its end has nothing to go on with.
            is_done = "total_steps" in json.loads(path.read_text())["info"]
            load_checkpoint(path.parent, with_state=path.parent.name == "last" and not is_done)


def check_csv(path):
    text = path.read_text()
    lines = text.splitlines()
    assert text.endswith("\n"), path
    assert len(lines) > 1, path
    assert len({line.count(",") for line in lines}) == 1, path


def check_rows(path):
    """Only the last line may be cut short; a validation has a row of its own after that of its step."""
    *lines, last = path.read_text().split("\n")
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(steps), path
    assert sorted(set(steps)) == list(range(1, len(set(steps)) + 1)), path
    assert len(last) < 2000


def check_by_name(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest[:16] == path.stem.partition("-")[2], path


def check_weights(path):
    check_by_name(path)
    safetensors.torch.load(path.read_bytes())


def check_state(path):
    check_by_name(path)
    assert torch.load(path, weights_only=True)


CHECKS = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": check_rows,
    ".csv": check_csv,
    ".yaml": lambda path: yaml.safe_load(path.read_text())["optim"],
    ".html": lambda path: path.read_text().rstrip().endswith("</html>") or pytest_fail(path),
    ".safetensors": check_weights,
    ".pt": check_state,
    ".beton": open_beton,
    ".png": lambda path: path.read_bytes().endswith(b"IEND\xaeB`\x82") or pytest_fail(path),
    "": lambda path: path.read_text().endswith("\n") or pytest_fail(path),  # .hscl-run
}


def pytest_fail(path):
    raise AssertionError(f"{path} is not whole")


def results(folder):
    """What must be the same bits, by file: everything but times, pages that hold times, and where it ran."""
    found = {}
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        if path.name in (".lock", "env.json") or LEFTOVER.fullmatch(path.name):
            continue
        if path.suffix == ".html":
            found[name] = "a page"
        elif path.suffix == ".jsonl":
            found[name] = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".json":
            found[name] = timeless(json.loads(path.read_text()))
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if "second" not in key and key != "date"}
    return value
