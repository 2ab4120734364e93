"""Runs as tasks of a local Ray, one worker of which is killed."""

import json
import os
import signal
import threading
import time
from functools import partial

import pytest

from hscl_fast.cli import main as cli
from hscl_fast.reproduce.plan import Request, make_plan
from hscl_fast.reproduce.run import files_of, run_plans
from hscl_fast.reproduce.scenarios import SCENARIOS

# The killed run must have a checkpoint behind it and steps before it.
LONG = {
    "model": {"width": 16, "embedding_dim": 16},
    "optim": {"max_steps": 30, "batch_size": 4, "epochs": 1000},
    "augment": {"rotations": 1},
    "record": {"checkpoint_every": 5, "log_every": 5},
    "runtime": {"device": "cpu", "threads": 1},
}


def kill_at_step(files, step, killed):
    """Kill the worker of a run with SIGKILL as soon as the run has come to a step."""
    while not killed:
        progress = files.progress()
        if progress is not None and progress[0] >= step:
            killed.append(json.loads((files.directory.path / ".lock").read_text())["pid"])
            os.kill(killed[0], signal.SIGKILL)
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_continues_on_another(tmp_path):
    pytest.importorskip("ray", reason="needs Ray: pip install 'hscl-fast[ray]'")
    from hscl_fast.reproduce.ray_backend import run_on_ray

    request = Request(tmp_path, stand_in="digits", methods=("hscl",), classes=(0, 1), known=1, change=LONG)
    scenario = SCENARIOS["figure4-left"]
    column = scenario.columns[0]
    plan = make_plan(scenario, request)
    plan = type(plan)(scenario, request, plan.rows, (column,), plan.cells[:1])
    files = files_of([plan])
    assert len(files) == 2
    killed, said = [], []
    killer = threading.Thread(target=kill_at_step, args=(files[0], 10, killed), daemon=True)
    killer.start()
    backend = partial(run_on_ray, address=None, jobs=2, gpus=None)
    assert run_plans([plan], backend, said.append) == []
    assert killed
    assert [one.figures()["steps"] for one in files] == [30, 30]
    beginnings = [one.log.read_text().count(f"run {one.directory.path}: ") for one in files]
    assert beginnings == [2, 1]
    steps = [json.loads(line)["step"] for line in files[0].directory.metrics.read_text().splitlines()]
    assert steps == [*range(5, 31, 5)]  # it went on from its checkpoint, and no step was recorded twice
    assert any(line.startswith("[2/2]") for line in said)


def test_ray_s_options_are_for_ray(capsys):
    for option in ("--address=auto", "--gpus=0.5"):
        assert cli.run(["reproduce", "table1", "--out", "unused", option]) == 2
        assert "Add --backend ray" in capsys.readouterr().err
