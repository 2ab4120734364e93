"""Runs ``hscl`` with faults, and says whether the files that it leaves are whole and its results the same."""

import atexit
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from conftest import ROOT, subprocess_environment

KILLED = -9
CUT = -25  # SIGXFSZ: killed in the middle of a write

STEPS = 6
TRAIN = [
    "train",
    "digits",
    "--out",
    "run",
    *("--model.width=16", "--model.embedding_dim=16", "--optim.batch_size=32", "--optim.warmup_share=0.3"),
    *("--optim.epochs=100", f"--optim.max_steps={STEPS}", "--runtime.device=cpu", "--runtime.threads=1"),
    *("--record.log_every=1", "--record.checkpoint_every=1", "--record.validate_every=1"),
]


class Outcome(NamedTuple):
    """How a command ended, what it printed, which files it changed, and how long it took."""

    status: int
    output: str
    events: list[str]
    seconds: float


@functools.cache
def server():
    """The process that runs commands."""
    environment = subprocess_environment()
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests"), environment["PYTHONPATH"]])
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    atexit.register(process.kill)
    assert json.loads(process.stdout.readline()) == {"threads": 1}  # a fork has no thread but the one that forks
    return process


def run_all(folder, commands, *, kill=None, timeout=300):
    """Run commands at the same time; each is a dict of ``arguments``, ``fault`` and ``environment``."""
    blank = {"folder": str(folder), "fault": None, "environment": {}}
    request = {"commands": [{**blank, **one} for one in commands], "kill": kill, "timeout": timeout}
    process = server()
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    answers = json.loads(process.stdout.readline())
    return [Outcome(one["status"], one["output"], one["events"].splitlines(), one["seconds"]) for one in answers]


def run(folder, arguments, *, fault=None, kill_after=None):
    """Run one command in a folder, with a fault of :func:`injection.inject`, or killed after some seconds."""
    kill = None if kill_after is None else {"command": 0, "after": kill_after}
    (outcome,) = run_all(folder, [{"arguments": list(map(str, arguments)), "fault": fault}], kill=kill)
    return outcome


def succeed(folder, arguments):
    """Run a command that must succeed."""
    outcome = run(folder, arguments)
    assert outcome.status == 0, f"hscl {' '.join(map(str, arguments))}\n{outcome.output}"
    return outcome


def assert_error(outcome, *words):
    """The command ended with exit code 2 and one paragraph that has these words."""
    assert outcome.status == 2, outcome
    errors = [line for line in outcome.output.splitlines() if line.startswith("hscl: error: ")]
    assert len(errors) == 1, outcome.output
    assert "Traceback" not in outcome.output
    for word in words:
        assert word in errors[0], outcome.output
