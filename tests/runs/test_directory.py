"""A run directory is recognised by its marker; nothing but what a run writes is ever removed from it."""

import json
import os
import subprocess
import sys
import time

import pytest
from conftest import subprocess_environment, tiny_config

from hscl_fast.errors import UsageError
from hscl_fast.runs.contents import MARKER, foreign_entries
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.lock import LOCK, RunLock
from hscl_fast.runs.train_run import train_run

FAST = {"optim": {"epochs": 1, "max_steps": 2, "batch_size": 32}, "record": {"tensorboard": False}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    train_run(tiny_config(**FAST), path)
    return path


def create(path, split, **options):
    with RunLock(path) as lock:
        RunDirectory(path).create(tiny_config(), split, lock, **{"overwrite": False, **options})


def everything(path):
    return {entry.relative_to(path).as_posix(): entry.read_bytes() for entry in path.rglob("*") if entry.is_file()}


def test_a_run_has_nothing_foreign_in_it(trained):
    assert (trained / MARKER).is_file()
    assert foreign_entries(trained) == []
    (trained / ".0123456789abcdef.tmp").touch()  # as a crash leaves it
    assert foreign_entries(trained) == []


def test_a_folder_of_the_users_with_a_config_yaml_is_not_a_run(tmp_path, digits):
    precious = tmp_path / "precious"
    (precious / "chapters").mkdir(parents=True)
    (precious / "config.yaml").write_text("mine: true\n")
    (precious / "chapters" / "one.txt").write_text("years of work")
    before = everything(precious)
    with pytest.raises(UsageError, match=r"not a run directory \(it has no \.hscl-run\).*will not touch it"):
        create(precious, digits, overwrite=True)
    assert everything(precious) == before


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints/a.pt", "calibration/a.pt", "evaluations/knn/a.png"])
def test_a_run_with_files_of_the_users_is_left_alone(tmp_path, digits, name):
    path = tmp_path / "run"
    create(path, digits)
    (path / name).parent.mkdir(parents=True, exist_ok=True)
    (path / name).write_text("mine")
    before = everything(path)
    with pytest.raises(UsageError, match=rf"holds files that no run writes \({name}\).*Move them elsewhere"):
        create(path, digits, overwrite=True)
    assert everything(path) == before


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints", "link"])
def test_links_are_not_followed(tmp_path, digits, name):
    path, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    create(path, digits)
    elsewhere.mkdir()
    (elsewhere / "checkpoint.json").write_text("precious")
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(elsewhere)
    with pytest.raises(UsageError, match="holds files that no run writes"):
        create(path, digits, overwrite=True)
    assert (elsewhere / "checkpoint.json").read_text() == "precious"
    link = tmp_path / "linked"
    link.symlink_to(path)
    with pytest.raises(UsageError, match="not a run directory"):
        create(link, digits, overwrite=True)


def test_overwriting_removes_what_the_old_run_wrote(tmp_path, digits, trained):
    path = tmp_path / "run"
    subprocess.run(["cp", "-r", trained, path], check=True)
    (path / "evaluations" / "knn-last").mkdir(parents=True)
    (path / "evaluations" / "knn-last" / "summary.json").write_text("{}")
    create(path, digits, overwrite=True)
    assert set(everything(path)) == {MARKER, LOCK, "config.yaml", "env.json", "split.json"}


@pytest.mark.parametrize("left", [[], [LOCK], [LOCK, ".0123456789abcdef.tmp"]])
def test_a_run_that_was_killed_before_its_marker_is_started_again(tmp_path, digits, left):
    path = tmp_path / "run"
    path.mkdir()
    for name in left:
        (path / name).touch()
    with pytest.raises(UsageError, match=r"stopped here before it began, start it again with --overwrite"):
        train_run(None, path, resume=True)
    create(path, digits, overwrite=True)
    assert set(everything(path)) == {MARKER, LOCK, "config.yaml", "env.json", "split.json"}


def test_a_run_without_a_configuration_says_how_to_start_again(tmp_path, digits, monkeypatch):
    path = tmp_path / "run"
    create(path, digits)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hscl_fast.runs.directory.write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        create(path, digits, overwrite=True)
    monkeypatch.undo()
    with pytest.raises(
        UsageError, match=r"has no config\.yaml.*train again with `hscl train DATA --out .* --overwrite`"
    ):
        train_run(None, path, resume=True)
    create(path, digits, overwrite=True)


def test_a_folder_without_the_marker_is_not_a_run(tmp_path):
    with pytest.raises(UsageError, match=r"not a run directory: it has no \.hscl-run"):
        RunDirectory(tmp_path).load_config()


# --- one writer ---

HOLD = """
import sys, time
from pathlib import Path
from hscl_fast.runs.lock import RunLock
with RunLock(Path(sys.argv[1])) as lock:
    lock.acquire()
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes to ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=subprocess_environment()
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_writer_is_refused_by_name_and_a_crash_lets_go(tmp_path, holder):
    refusal = rf"is being written by process {holder.pid} on \S+ since \d{{4}}-"
    with RunLock(tmp_path) as lock, pytest.raises(UsageError, match=refusal):
        lock.acquire()
    holder.kill()
    holder.wait()
    with RunLock(tmp_path) as lock:
        lock.acquire()
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert (tmp_path / LOCK).read_bytes() == b""  # nobody writes any more


def test_one_process_writes_once_too(tmp_path):
    with RunLock(tmp_path) as lock:
        lock.acquire()
        lock.acquire()
        with RunLock(tmp_path) as other, pytest.raises(UsageError, match=f"process {os.getpid()}"):
            other.acquire()
        script = HOLD.replace("time.sleep(60)", "")
        other = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            env=subprocess_environment(),
            check=False,
        )
        assert b"is being written by" in other.stderr  # the refused attempt has not let go of the lock
    with RunLock(tmp_path) as lock:
        lock.acquire()


def test_a_run_that_is_being_trained_is_neither_resumed_nor_replaced_nor_evaluated(trained, tmp_path):
    from hscl_fast.runs.evaluate_run import evaluate_run

    path = tmp_path / "run"
    subprocess.run(["cp", "-r", trained, path], check=True)
    before = everything(path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True, env=subprocess_environment()
    )
    try:
        assert process.stdout.readline() == "held\n"
        for attempt in (
            lambda: train_run(None, path, resume=True),
            lambda: train_run(tiny_config(**FAST), path, overwrite=True),
            lambda: evaluate_run(path, overwrite=True),
        ):
            with pytest.raises(UsageError, match=f"process {process.pid}"):
                attempt()
    finally:
        process.kill()
        process.wait()
    after = everything(path)
    assert {name: data for name, data in after.items() if name != LOCK} == {
        name: data for name, data in before.items() if name != LOCK
    }


def test_two_new_runs_of_one_name_do_not_mix(tmp_path, digits):
    path = tmp_path / "run"
    create(path, digits)
    time.sleep(0.01)
    with pytest.raises(UsageError, match="already exists"):
        create(path, digits)


# --- evaluations ---


def test_another_score_is_an_evaluation_of_its_own(trained, tmp_path):
    from hscl_fast.runs.evaluate_run import evaluate_run

    path = tmp_path / "run"
    subprocess.run(["cp", "-r", trained, path], check=True)
    before = everything(path)
    run = evaluate_run(path, scoring="knn")
    assert run.results.path == path / "evaluations" / "knn-last"
    assert {name: data for name, data in everything(path).items() if name in before} == before
    assert json.loads(run.results.summary.read_text())["scoring"] == "knn"
    before = everything(path)
    with pytest.raises(UsageError, match=r"knn-last/summary\.json already exists and is up to date.*--overwrite"):
        evaluate_run(path, scoring="knn")
    assert everything(path) == before
    evaluate_run(path, scoring="knn", overwrite=True)
    evaluate_run(path, scoring="knn", name="again")
    with pytest.raises(UsageError, match="already exists and is up to date"):
        evaluate_run(path)
    with pytest.raises(UsageError, match=r"--name is .\.\./mine."):
        evaluate_run(path, name="../mine")
    (path / "summary.json").unlink()
    assert evaluate_run(path).results.path == path
    assert foreign_entries(path) == []


@pytest.mark.parametrize("name", ["scores.csv", "report.html"])
def test_an_evaluation_that_was_stopped_is_made_again(trained, tmp_path, name):
    from hscl_fast.runs.evaluate_run import evaluate_run

    path = tmp_path / "run"
    subprocess.run(["cp", "-r", trained, path], check=True)
    (path / name).unlink()
    assert evaluate_run(path).summary is not None
    assert (path / name).exists()
    summary = json.loads((path / "summary.json").read_text())
    (path / "summary.json").write_text(json.dumps({**summary, "scoring": "knn"}))
    evaluate_run(path)
    assert json.loads((path / "summary.json").read_text())["scoring"] == summary["scoring"]
    with pytest.raises(UsageError, match="already exists and is up to date"):
        evaluate_run(path)


def test_the_best_checkpoint_needs_held_out_images(tmp_path):
    config = tiny_config(**FAST, data={"held_out_ratio": 0.0}, evaluate={"checkpoint": "best"})
    with pytest.raises(UsageError, match=r"'best'.*--data\.held_out_ratio.*--evaluate\.checkpoint last"):
        train_run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
