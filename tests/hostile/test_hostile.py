"""Every hostile input is refused in one paragraph or read; nothing is executed, written elsewhere or filled up."""

import hashlib
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from hostile.all_cases import CASES
from hostile.build import picture
from hostile.case import ACCEPTED, ERROR_LIMIT, REFUSED, Box
from hostile.server import MEMORY

_HASHED = 1 << 22  # bytes; larger files are compared by size and time
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def test_there_are_two_hundred_cases():
    ids = Counter(case.id for case in CASES)
    assert len(ids) == len(CASES) >= 200


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.id, marks=[pytest.mark.slow] if case.slow or number % 3 else [])
        for number, case in enumerate(CASES)
    ],
)
def test_hostile(case, tmp_path, server, model):
    box = Box(tmp_path / "work", tmp_path / "outside", model)
    home = tmp_path / "home"
    for folder in (box.work, box.outside, home):
        folder.mkdir()
    picture().save(box.outside / "secret.png")
    (box.outside / "secret.txt").write_text("secret")
    case.make(box)
    before = snapshot(tmp_path)
    environment = {"HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home, "TMPDIR": home, "COLUMNS": "200"}
    output = os.fspath(tmp_path / "output")
    ended = server.run(
        arguments=list(case.command),
        folder=os.fspath(box.work),
        output=output,
        environment={name: str(value) for name, value in environment.items()},
    )
    out, err = (Path(output + end).read_bytes().decode(errors="replace") for end in (".out", ".err"))
    shown = f"{out[-2000:]}{err[-4000:]}"
    assert ended["peak"] < MEMORY, f"it took {ended['peak'] / 2**30:.1f} GiB"
    assert ended["status"] != -9, f"it was stopped after {ended['seconds']:.0f} s"
    assert not box.harm.exists(), f"its code was executed\n{shown}"
    assert "Traceback" not in out + err, shown
    assert ended["status"] == case.status, f"exit code {ended['status']}\n{shown}"
    changed = {name for name, _ in before.items() ^ snapshot(tmp_path).items()}
    foreign = {name for name in changed if not may_change(name, case)}
    assert not foreign, f"it wrote {sorted(foreign)}\n{shown}"
    assert not _CONTROL.search(out + err), repr(shown)
    assert case.status == ACCEPTED or case.culprit in out + err, f"it does not name {case.culprit}\n{shown}"
    if case.status == REFUSED:
        assert err.startswith("hscl: error: "), shown
        assert err.count("\n") == 1, f"not one paragraph\n{err}"
        assert len(err) < ERROR_LIMIT, f"an error of {len(err)} characters\n{shown}"


def snapshot(root):
    """Size, time and content of all files below a folder, by name; the output of the command is left out."""
    found = {}
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            facts = os.lstat(path)
            if parent == os.fspath(root) and name in ("output.out", "output.err"):
                continue
            content = None
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path) and facts.st_size < _HASHED:
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
            is_file = name in files
            found[os.path.relpath(path, root)] = (facts.st_size, facts.st_mtime_ns, content) if is_file else ()
    return found


def may_change(name, case):
    return any(name == f"work/{allowed}" or name.startswith(f"work/{allowed}/") for allowed in case.may_change)
