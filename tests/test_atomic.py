"""A file is the old version or the whole new one, whatever fails in between."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hscl_fast.atomic import replacing, write_bytes, write_json, write_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)
ONE_FOLDER = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ONE_FOLDER
@given(data=st.binary())
def test_bytes_come_back(tmp_path: Path, data: bytes) -> None:
    write_bytes(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data
    assert os.listdir(tmp_path) == ["file"]


@ONE_FOLDER
@given(obj=JSON)
def test_json_comes_back(tmp_path: Path, obj: object) -> None:
    write_json(tmp_path / "file.json", obj)
    assert json.loads((tmp_path / "file.json").read_text(encoding="utf-8")) == obj


def test_json_keeps_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "names.json", [name])
    assert json.loads((tmp_path / "names.json").read_text(encoding="utf-8")) == [name]


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "é\r\n六\n")
    assert (tmp_path / "file.txt").read_bytes() == "é\r\n六\n".encode()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    write_text(tmp_path / "file", "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"hscl_fast.atomic.os.{step}", fail)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_interrupt_removes_the_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hscl_fast.atomic.os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == []


def test_the_file_that_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as temporary:
        raise KeyboardInterrupt
    temporary.write_text("half of a longer file that was being written")
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("mine")
        with pytest.raises(OSError, match="another process is writing it"):
            write_text(tmp_path / "file", "theirs")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    with replacing(tmp_path / "file") as temporary:
        temporary.write_text("old")
    (tmp_path / "precious").write_text("precious")
    temporary.symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_failing_clean_up_does_not_hide_the_first_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("hscl_fast.atomic.os.fsync", full)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "file", "new")


def test_the_data_is_on_disk_before_the_rename_and_the_rename_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        calls.append("rename")
        assert source.parent == target.parent
        replace(source, target)

    monkeypatch.setattr("hscl_fast.atomic.os.fsync", record_fsync)
    monkeypatch.setattr("hscl_fast.atomic.os.replace", record_replace)
    write_bytes(tmp_path / "file", b"new")
    assert calls == ["file", "rename", "directory"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_values_that_it_cannot_represent(tmp_path: Path, value: float) -> None:
    write_json(tmp_path / "file.json", {"auroc": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"auroc": value})
    assert json.loads((tmp_path / "file.json").read_text()) == {"auroc": 0.5}


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("n" * 255), b"data")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes(tmp_path / "missing" / "file", b"data")
