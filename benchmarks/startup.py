"""Whole commands, each in a process of its own, and the CPU time that they take."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
HELP, WRONG_FLAG, DATA_LIST = "hscl --help", "a wrong flag", "hscl data list"
PREDICT, PREDICT_FROZEN = "hscl predict RUN IMAGE", "hscl predict RUN IMAGE, recipe frozen at 224 px"
IMPORT_TORCH = "python -c 'import torch'"


class Spent(NamedTuple):
    """Seconds of CPU time, user and system, and seconds on the clock."""

    cpu: float
    wall: float


def commands(run: Path, frozen: Path, image: Path) -> dict[str, list[str]]:
    """Return the arguments of Python for each command; the two runs and ``image`` are those of ``hscl predict``."""
    hscl = ["-m", "hscl_fast"]
    scores = ["--out", str(image.with_suffix(".csv")), "--overwrite"]
    return {
        "python -c pass": ["-c", "pass"],
        HELP: [*hscl, "--help"],
        WRONG_FLAG: [*hscl, "train", "digits", "--no_such_flag"],
        DATA_LIST: [*hscl, "data", "list"],
        IMPORT_TORCH: ["-c", "import torch"],
        "python -c 'import torch, timm'": ["-c", "import torch, timm"],
        PREDICT: [*hscl, "predict", str(run), str(image), *scores],
        PREDICT_FROZEN: [*hscl, "predict", str(frozen), str(image), *scores],
    }


class Commands:
    """The times of commands, which take turns in a new order each round."""

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self.commands = commands
        self.spent: dict[str, list[Spent]] = {name: [] for name in commands}
        self._order = random.Random(0)

    def round(self, names: Iterable[str]) -> None:
        """Run each of ``names`` once."""
        turns = list(names)
        for name in self._order.sample(turns, len(turns)):
            self.time(name)

    def time(self, name: str) -> None:
        """Run a command once and keep its times."""
        self.spent[name].append(self.run(name))

    def run(self, name: str) -> Spent:
        """Run a command to its end, without its output; 2 is the exit code of a wrong flag."""
        paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *self.commands[name]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        expected = 2 if name == WRONG_FLAG else 0
        if process.returncode != expected:
            raise RuntimeError(f"{name} exited with {process.returncode}, expected {expected}")
        return Spent(usage.ru_utime + usage.ru_stime, wall)

    def summary(self) -> dict[str, dict[str, list[float] | int]]:
        """Return the rounds and ``[lower quartile, median, upper quartile]`` of both times of each command."""
        quartiles = {n: np.quantile(times, [0.25, 0.5, 0.75], axis=0).T.tolist() for n, times in self.spent.items()}
        return {name: {"rounds": len(self.spent[name]), "cpu": q[0], "wall": q[1]} for name, q in quartiles.items()}
