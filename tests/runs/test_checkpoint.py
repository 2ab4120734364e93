"""Checkpoints: whole or refused, never executed, never half replaced."""

import hashlib
import json
import os
import pickle
import resource
import signal
from pathlib import Path

import pytest
import torch

from hscl_fast.errors import UsageError
from hscl_fast.runs import checkpoint
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint, save_checkpoint

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7, dtype=torch.int64)}
STATE = {
    "step": torch.tensor(3),
    "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
}


@pytest.fixture
def saved(tmp_path):
    directory = tmp_path / "checkpoints" / "last"
    save_checkpoint(directory, weights=WEIGHTS, state=STATE, info={"step": 3})
    return directory


def file(directory, kind):
    (path,) = directory.glob(f"{kind}-*")
    return path


def assert_is_first(directory):
    loaded = load_checkpoint(directory, with_state=True)
    assert loaded.info == {"step": 3}
    assert all(torch.equal(loaded.weights[name], tensor) for name, tensor in WEIGHTS.items())
    assert torch.equal(loaded.state["optimizer"]["state"][0]["exp_avg"], torch.ones(2))


def test_round_trip(saved):
    assert_is_first(saved)


def test_a_new_checkpoint_replaces_the_old_files(saved):
    save_checkpoint(saved, weights={"a": torch.zeros(1)}, state=STATE, info={"step": 4})
    assert load_checkpoint(saved).info == {"step": 4}
    assert len(list(saved.iterdir())) == 3


def test_the_next_checkpoint_removes_what_a_killed_process_left(saved):
    (saved / f".{'0' * 16}.tmp").write_text("half")
    (saved / f"weights-{'0' * 16}.safetensors").write_text("of a checkpoint without a manifest")
    save_checkpoint(saved, weights=WEIGHTS, state=STATE, info={"step": 3})
    assert_is_first(saved)
    assert len(list(saved.iterdir())) == 3


def test_saving_the_same_again_keeps_it(saved):
    save_checkpoint(saved, weights=WEIGHTS, state=STATE, info={"step": 3})
    assert_is_first(saved)


@pytest.mark.parametrize("kind", ["weights", "state"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_damaged_files_are_refused(saved, kind, damage):
    path = file(saved, kind)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes({"flip": data, "cut": data[:-1], "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        path.unlink()
    with pytest.raises(UsageError, match="damaged"):
        load_checkpoint(saved, with_state=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1, "files": [], "info": {}}',
        '{"format": 1, "files": {"weights": {"name": "../../secret", "sha256": "0"}}, "info": {}}',
        '{"format": 1, "files": {"weights": 3}, "info": {}}',
        '{"format": 9, "files": {}, "info": {}}',
        '{"format": 1, "files": {}, "info": {}}',
        "\\xff",
    ],
)
def test_a_garbled_manifest_is_refused(saved, text):
    (saved / MANIFEST).write_text(text)
    with pytest.raises(UsageError, match="damaged"):
        load_checkpoint(saved)


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch {Path(os.environ['BOMB']).as_posix()}",)


@pytest.mark.parametrize("kind", ["weights", "state"])
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_code_in_a_checkpoint_is_refused_and_not_executed(saved, kind, form, tmp_path, monkeypatch):
    """A checkpoint is not executed even where its manifest has the right checksum."""
    sign = tmp_path / "executed"
    monkeypatch.setenv("BOMB", str(sign))
    path = file(saved, kind)
    if form == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save({"step": Bomb()}, path)
    manifest = json.loads((saved / MANIFEST).read_text())
    manifest["files"][kind]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (saved / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="damaged"):
        load_checkpoint(saved, with_state=True)
    assert not sign.exists()


def test_missing_checkpoint_says_so(tmp_path):
    with pytest.raises(UsageError, match="no checkpoint"):
        load_checkpoint(tmp_path)


def test_weights_alone_cannot_be_resumed(tmp_path):
    save_checkpoint(tmp_path, weights=WEIGHTS, info={})
    assert load_checkpoint(tmp_path).state is None
    with pytest.raises(UsageError, match="cannot be resumed"):
        load_checkpoint(tmp_path, with_state=True)


def test_a_full_disk_leaves_the_previous_checkpoint(saved):
    """A real failing write: the kernel refuses files above a size limit, as a full disk would."""
    before = sorted(path.name for path in saved.iterdir())
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old_limit[1]))
    try:
        with pytest.raises(UsageError, match=r"could not be written.*previous checkpoint"):
            save_checkpoint(saved, weights={"a": torch.randn(100_000)}, state=STATE, info={"step": 4})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert sorted(path.name for path in saved.iterdir()) == before
    assert_is_first(saved)


@pytest.mark.parametrize("flush", [2, 4, 6])
def test_a_checkpoint_is_whole_if_the_folder_cannot_be_flushed(saved, monkeypatch, flush):
    real, flushed = os.fsync, []

    def fail(descriptor):
        flushed.append(descriptor)
        if len(flushed) == flush:  # file and folder by turns: of the weights, the state and the manifest
            raise OSError(5, "Input/output error")
        real(descriptor)

    monkeypatch.setattr("hscl_fast.atomic.os.fsync", fail)
    with pytest.raises(UsageError, match="could not be written: Input/output error"):
        save_checkpoint(saved, weights={"a": torch.zeros(1)}, state={"step": 1}, info={"step": 4})
    assert load_checkpoint(saved, with_state=True).info == {"step": 4 if flush == 6 else 3}


def test_a_disk_that_becomes_read_only_is_an_error(saved, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(checkpoint, "write_json", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UsageError, match=r"could not be written: Read-only file system"):
        save_checkpoint(saved, weights={"a": torch.zeros(1)}, state=STATE, info={"step": 4})
    assert_is_first(saved)


@pytest.mark.parametrize("failing_write", [0, 1, 2])
def test_a_failure_at_any_write_leaves_the_previous_checkpoint(saved, monkeypatch, failing_write):
    writes = []
    real = checkpoint.write_bytes

    def failing(path, data):
        writes.append(path)
        if len(writes) > failing_write:
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(checkpoint, "write_bytes", failing)
    monkeypatch.setattr(checkpoint, "write_json", lambda path, obj: failing(path, json.dumps(obj).encode()))
    with pytest.raises(UsageError, match="No space left"):
        save_checkpoint(saved, weights={"a": torch.randn(9)}, state={"step": 1}, info={"step": 4})
    monkeypatch.undo()
    assert_is_first(saved)
    assert len(list(saved.iterdir())) == 3
