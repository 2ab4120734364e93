"""On a disk that is full or read-only, a command ends with an error; once the disk is fixed, it gives the same bits.

Faults are injected, which works everywhere, and with real disks, where this process may mount them.
"""

import os
import random
import shutil
import subprocess

import numpy as np
import pytest
from commands import TRAIN, assert_error, run, succeed
from files import assert_whole, leftovers, results
from PIL import Image

TRIALS = max(1, int(os.environ.get("HSCL_FAULTS", "10")) // 20)

RESUME = ["train", "--out", "run", "--resume"]
EVALUATE = ["eval", "run", "--name", "again", "--scoring", "knn"]
# Each command with those that are run before it; `again` is what the error asks for once the disk is fixed.
COMMANDS = {
    "train": ([], TRAIN),
    "replace": ([[*TRAIN, "--data.seed=1"]], [*TRAIN, "--overwrite"]),
    "resume": ([TRAIN], RESUME),
    "evaluate": ([TRAIN], EVALUATE),
    "evaluate_again": ([TRAIN, EVALUATE], ["eval", "run", "--name", "again", "--scoring", "rotations", "--overwrite"]),
    "predict": ([TRAIN], ["predict", "run", "pictures", "--out", "predictions.csv"]),
    "prepare": ([], ["data", "prepare", "digits", "--out", "digits.beton"]),
    "prepare_again": (
        [["data", "prepare", "digits", "--out", "digits.beton", "--seed=1"]],
        ["data", "prepare", "digits", "--out", "digits.beton", "--overwrite"],
    ),
    "views": ([], ["data", "views", "digits", "--out", "views.png"]),
}
KEEPING = {"evaluate_again", "predict", "prepare_again"}  # a failure leaves everything as it was


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A function from the name of a command to the folder before it, what it makes, and how many changes that takes."""
    known = {}

    def find(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            before, command = COMMANDS[name]
            start = folder / "start"
            (start / "pictures").mkdir(parents=True)
            Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(start / "pictures" / "0.png")
            for earlier in before:
                if name == "resume":
                    changes = len(succeed(start, earlier).events)
                    shutil.rmtree(start / "run")
                    run(start, earlier, fault={"kill_at": changes // 2})
                else:
                    succeed(start, earlier)
            whole = folder / "whole"
            shutil.copytree(start, whole)
            changes = len(succeed(whole, command).events)
            known[name] = start, results(whole), changes
        return known[name]

    return find


def recover(folder, name):
    """What a user does once the disk is fixed."""
    command = COMMANDS[name][1]
    if name in ("train", "replace") and (folder / "run").exists():
        outcome = run(folder, RESUME)
        if outcome.status == 0:
            return
        assert_error(outcome, "--overwrite")
        command = [*TRAIN, "--overwrite"]
    outcome = run(folder, command)
    if outcome.status:
        assert_error(outcome, "already exists")


FAULTS = ("bytes", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TRIALS * len(COMMANDS)))
def test_a_failing_disk_is_an_error_and_nothing_is_lost(number, reference, tmp_path):
    name = list(COMMANDS)[number % len(COMMANDS)]
    start, want, changes = reference(name)
    chance = random.Random(number)
    kind = FAULTS[(number // len(COMMANDS) + number) % len(FAULTS)]
    at = chance.randrange(changes)
    fault = {"bytes": int(10 ** chance.uniform(0, 4))} if kind == "bytes" else {"errno": kind, "at": at}
    print(f"fault {number}: {name}, {fault}; repeat it with:")
    print(f"HSCL_FAULTS={10 * TRIALS} .venv/bin/python -m pytest {__file__} -k '[{number}]'")
    folder = tmp_path / "folder"
    shutil.copytree(start, folder)
    outcome = run(folder, COMMANDS[name][1], fault=fault)
    print(*outcome.events[-5:], outcome.output, sep="\n")
    if outcome.status:
        assert_error(outcome)
        if name in KEEPING and kind != "EIO":
            assert results(folder) in (results(start), want)
    assert_whole(folder)
    recover(folder, name)
    assert_whole(folder)
    assert results(folder) == want
    assert leftovers(folder) == []


# --- real disks ---


@pytest.fixture
def disk(tmp_path):
    """An empty tmpfs, and a function that mounts it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)

    done = mount("-t", "tmpfs", "-o", "size=64m", "tmpfs")
    if done.returncode:
        pytest.skip(f"this process may not mount a tmpfs ({done.stderr.strip()}); the injected faults are tested")
    yield folder, lambda options: mount("-o", f"remount,{options}")
    subprocess.run(["umount", str(folder)], check=True)


# Bytes left free, as powers of two: these commands then fail in the middle. The others find a disk that is full.
ROOM = {"train": 22, "replace": 20, "resume": 18, "prepare": 16, "prepare_again": 16}
MOUNTED = COMMANDS if TRIALS > 1 else ["resume", "prepare_again"]


def leave_free(ballast, room):
    """Fill a disk but for some bytes."""
    with ballast.open("wb") as file:
        facts = os.statvfs(ballast)
        os.posix_fallocate(file.fileno(), 0, max(4096, facts.f_bavail * facts.f_frsize - room))


@pytest.mark.slow
@pytest.mark.parametrize("name", MOUNTED)
def test_a_full_disk(name, disk, reference):
    folder, _ = disk
    start, want, _ = reference(name)
    shutil.copytree(start, folder, dirs_exist_ok=True)
    leave_free(folder / "ballast", 2 ** ROOM.get(name, 0))
    outcome = run(folder, COMMANDS[name][1])
    assert_error(outcome, "No space left on device")
    (folder / "ballast").unlink()
    assert_whole(folder)
    if name in KEEPING:
        assert results(folder) == results(start)
    recover(folder, name)
    assert results(folder) == want
    assert leftovers(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MOUNTED)
def test_a_read_only_disk(name, disk, reference):
    folder, remount = disk
    start, want, _ = reference(name)
    shutil.copytree(start, folder, dirs_exist_ok=True)
    assert remount("ro").returncode == 0
    outcome = run(folder, COMMANDS[name][1])
    assert remount("rw").returncode == 0
    assert_error(outcome, "Read-only file system")
    assert results(folder) == results(start)
    succeed(folder, COMMANDS[name][1])
    assert results(folder) == want
