"""A command that is killed at any moment leaves whole files, and running it again gives the same bits.

Thirteen kills, or as many as the environment variable HSCL_FAULTS says: ``make faults`` takes 100.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from commands import CUT, KILLED, TRAIN, assert_error, run, succeed
from files import assert_whole, files, leftovers, results
from PIL import Image

from hscl_fast.runs.checkpoint import MANIFEST
from hscl_fast.runs.contents import foreign_entries

TRIALS = int(os.environ.get("HSCL_FAULTS", "13"))

RESUME = ["train", "--out", "run", "--resume"]
PREPARE = ["data", "prepare", "digits", "--out", "digits.beton"]
EVALUATE = ["eval", "run", "--name", "again", "--scoring", "knn"]
EVALUATE_OTHERWISE = ["eval", "run", "--name", "again", "--scoring", "rotations"]
PREDICT = ["predict", "run", "pictures", "--out", "predictions.csv"]
TRAIN_OTHER = [*TRAIN, "--method", "deep_sad"]
REVIEW = ["review", "run"]
SUSPECTS = ["suspects", "run"]


def continue_training(folder, start, command, want):
    """Resume; where there is nothing to resume, do what the message says."""
    if not (folder / "run").exists():
        succeed(folder, command)
        return
    outcome = run(folder, RESUME)
    if outcome.status:
        assert_error(outcome, "--overwrite")
        assert not (folder / "run" / "checkpoints" / "last" / MANIFEST).exists()
        succeed(folder, [*command, "--overwrite"])


def run_again(folder, start, command, want):
    """Run the same command again; it may refuse only if its results are there already."""
    outcome = run(folder, command)
    if outcome.status:
        assert_error(outcome, "already exists")
        assert results(folder) == want


def replace_again(folder, start, command, want):
    """Without --overwrite, only whole results are refused to be replaced."""
    outcome = run(folder, command[:-1])
    if outcome.status:
        assert_error(outcome, "already exists")
        assert results(folder) in (results(start), want)
        succeed(folder, command)


class Job(NamedTuple):
    """A command to kill, the commands that are run before it, and what a user does after the kill."""

    before: tuple
    command: list
    recover: Callable


JOBS = {
    "train": Job((), TRAIN, continue_training),
    "replace_run": Job(([*TRAIN, "--data.seed=1"],), [*TRAIN, "--overwrite"], lambda *given: succeed(*given[::2])),
    "resume": Job((TRAIN,), RESUME, continue_training),
    "evaluate": Job((TRAIN,), EVALUATE, run_again),
    "evaluate_otherwise": Job((TRAIN, EVALUATE), [*EVALUATE_OTHERWISE, "--overwrite"], replace_again),
    "prepare": Job((), PREPARE, run_again),
    "prepare_again": Job(([*PREPARE, "--seed=1"],), [*PREPARE, "--overwrite"], replace_again),
    "predict": Job((TRAIN,), PREDICT, run_again),
    "train_other": Job((), TRAIN_OTHER, continue_training),
    "review": Job((TRAIN,), REVIEW, run_again),
    "suspects": Job((TRAIN,), SUSPECTS, lambda *given: succeed(*given[::2])),
}
# Of thirteen kills, as many are of a job as it is named here.
TURNS = [*JOBS, "train", "resume"]


class Reference(NamedTuple):
    """The folder before a command, and what it does where it is not killed."""

    start: Path
    want: dict
    changes: int
    seconds: float
    largest: int


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A function from the name of a job to its reference."""
    known = {}

    def find(name):
        if name not in known:
            known[name] = make_reference(JOBS[name], tmp_path_factory.mktemp(name))
        return known[name]

    return find


def make_reference(job, folder):
    start, whole = folder / "start", folder / "whole"
    (start / "pictures").mkdir(parents=True)
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(start / "pictures" / f"{number}.png")
    for command in job.before:
        if job.command == RESUME:  # a run that was killed after half of its steps
            changes = len(succeed(start, command).events)
            shutil.rmtree(start / "run")
            assert run(start, command, fault={"kill_at": changes // 2}).status == KILLED
        else:
            succeed(start, command)
    shutil.copytree(start, whole)
    outcome = succeed(whole, job.command)
    assert_whole(whole)
    largest = max(path.stat().st_size for path in files(whole))
    return Reference(start, results(whole), len(outcome.events), outcome.seconds, largest)


def draw_fault(number, reference):
    """At a random moment, ahead of a random change of a file, or after a random number of bytes."""
    chance = random.Random(number)
    match number % 3:
        case 0:
            return {"kill_after": chance.uniform(0, reference.seconds)}
        case 1:
            return {"fault": {"kill_at": chance.randrange(reference.changes)}}
        case _:
            return {"fault": {"bytes": int(reference.largest ** chance.random()), "kill": True}}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TRIALS))
def test_a_killed_command_is_repeated_bit_for_bit(number, reference, tmp_path):
    name = TURNS[number % len(TURNS)]
    job, known = JOBS[name], reference(name)
    drawn = draw_fault(number, known)
    print(f"kill {number}: {name}, {drawn}; repeat it with:")
    print(f"HSCL_FAULTS={number + 1} .venv/bin/python -m pytest {__file__} -k '[{number}]'")
    folder = tmp_path / "folder"
    shutil.copytree(known.start, folder)
    killed = run(folder, job.command, **drawn)
    print(*killed.events[-5:], killed.output, sep="\n")
    assert killed.status in (KILLED, CUT, 0)
    assert_whole(folder)
    job.recover(folder, known.start, job.command, known.want)
    assert_whole(folder)
    assert results(folder) == known.want
    assert leftovers(folder) == []
    if (folder / "run").exists():
        assert foreign_entries(folder / "run") == []
