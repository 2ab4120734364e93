"""A run that goes on from another one: its weights, its split, its labels."""

import csv
import shutil

import pytest
import safetensors.torch
import torch
import yaml
from conftest import flags

from hscl_fast.cli import main
from hscl_fast.runs.directory import RunDirectory

FAST = flags(
    {
        "model": {"width": 16, "embedding_dim": 16},
        "optim": {"max_steps": 1, "batch_size": 32},
        "augment": {"rotations": 1},
        "runtime": {"device": "cpu", "threads": 1, "precision": "float32"},
        "evaluate": {"scoring": "paper"},
    }
)


def train(*arguments):
    return main.run(["train", *map(str, arguments)])


def roles(run):
    train = RunDirectory(run).split.read_text()
    record = yaml.safe_load(train)["train"]
    return {f"train/{image}": role for image, role in zip(record["image"], record["role"], strict=True)}


def parts(run):
    record = yaml.safe_load(RunDirectory(run).split.read_text())
    return record["train"]["image"], record["train"]["part"], record["test"], record["sha256"]


def weights(run):
    (path,) = RunDirectory(run).checkpoint("last").glob("weights-*")
    return safetensors.torch.load_file(path)


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    """A run, and two rounds of labels after it; the second one goes on from the first and names no data."""
    folder = tmp_path_factory.mktemp("rounds")
    assert train("digits", "--recipe", "cpu", *FAST, "--out", folder / "zero") == 0
    unlabelled = [name for name, role in roles(folder / "zero").items() if role == 0]
    for number, (first, label) in enumerate(((0, "abnormal"), (5, "normal")), 1):
        rows = "".join(f"{name},{label}\n" for name in unlabelled[first : first + 5])
        (folder / f"{number}.csv").write_text(f"path,label\n{rows}")
    given = ("--data.labels", folder / "1.csv")
    assert train("digits", "--from", folder / "zero", *given, "--out", folder / "one") == 0
    (folder / "1.csv").unlink()
    assert train("--from", folder / "one", "--data.labels", folder / "2.csv", "--out", folder / "two") == 0
    return folder, unlabelled


def test_rounds_add_labels_to_one_split(rounds):
    folder, unlabelled = rounds
    zero, one, two = (roles(folder / name) for name in ("zero", "one", "two"))
    changed = dict.fromkeys(unlabelled[:5], -1)
    assert one == zero | changed
    assert two == zero | changed | dict.fromkeys(unlabelled[5:10], 1)
    assert parts(folder / "zero") == parts(folder / "one") == parts(folder / "two")


def test_the_history_has_every_round(rounds):
    folder, unlabelled = rounds
    assert not RunDirectory(folder / "zero").label_history.exists()
    rows = list(csv.DictReader(RunDirectory(folder / "two").label_history.open()))
    assert [(row["round"], row["path"], row["label"], row["run"]) for row in rows] == [
        *(("1", name, "abnormal", "one") for name in unlabelled[:5]),
        *(("2", name, "normal", "two") for name in unlabelled[5:10]),
    ]
    assert all(len(row["date"]) == 10 for row in rows)


def test_the_history_is_a_file_of_labels_too(rounds, tmp_path):
    folder, _ = rounds
    history = RunDirectory(folder / "two").label_history
    again = ("--recipe", "cpu", *FAST, "--data.labels", history, "--out", tmp_path / "again")
    assert train("digits", *again) == 0
    assert roles(tmp_path / "again") == roles(folder / "two")


def test_the_configuration_says_where_it_began_and_is_otherwise_the_same(rounds):
    folder, _ = rounds
    zero, two = (yaml.safe_load(RunDirectory(folder / name).config.read_text()) for name in ("zero", "two"))
    assert two["model"].pop("warm_start") == str(folder / "one")
    assert two["data"].pop("split_record") == str(folder / "one" / "split.json")
    assert two["data"].pop("labels") == str(folder / "2.csv")
    for section, name in (("model", "warm_start"), ("data", "split_record"), ("data", "labels")):
        assert zero[section].pop(name) is None
    assert two == zero


def test_training_begins_with_the_weights_of_the_run(rounds, tmp_path):
    folder, _ = rounds
    still = ("--optim.learning_rate", "1e-12", "--out", tmp_path / "still")
    assert train("--from", folder / "two", *still) == 0
    before, after = weights(folder / "two"), weights(tmp_path / "still")
    learned = [name for name in before if name.endswith(("weight", "bias", "prototypes"))]
    assert learned
    for name in learned:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    assert roles(tmp_path / "still") == roles(folder / "two")  # without labels of its own
    history = [RunDirectory(run).label_history.read_text() for run in (folder / "two", tmp_path / "still")]
    assert history[0] == history[1]


def test_the_run_outlives_the_one_it_began_from(rounds, tmp_path, capsys):
    folder, _ = rounds
    shutil.copytree(folder / "one", tmp_path / "one")
    out = tmp_path / "two"
    assert train("--from", tmp_path / "one", "--out", out) == 0
    shutil.rmtree(tmp_path / "one")
    assert main.run(["eval", str(out), "--overwrite"]) == 0
    assert train("--out", out, "--resume") == 0
    shutil.rmtree(out / "checkpoints")  # as if it had been stopped before the first checkpoint
    capsys.readouterr()
    assert train("--out", out, "--resume") == 2
    assert "one is not a run directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--model.width", "32"], "--model.width is 32 and was 16"),
        (["--data.image_size", "16"], "--data.image_size is 16 and was 8"),
        (["--augment.rotations", "2", "--objective.shift_loss", "true"], "shift_loss is True and was False"),
        (["--data.split_record", "x.json"], "takes split and weights from that run"),
        (["--model.warm_start", "x"], "takes split and weights from that run"),
        (["--resume", "--out", "x"], "Leave one of the two out"),
        (["--data.labels", "none.csv"], "none.csv cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(rounds, tmp_path, capsys, changes, message):
    folder, _ = rounds
    assert train("--out", tmp_path / "out", "--from", folder / "zero", *changes) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_cannot_replace_the_one_it_begins_from(rounds, capsys):
    folder, _ = rounds
    assert train("--from", folder / "zero", "--out", folder / "zero", "--overwrite") == 2
    assert "is the run whose weights the new one begins with" in capsys.readouterr().err
    assert train("--from", folder, "--out", folder / "no") == 2
    assert "is not a run directory" in capsys.readouterr().err


def test_a_damaged_history_is_refused_before_anything_is_written(rounds, tmp_path, capsys):
    folder, _ = rounds
    shutil.copytree(folder / "one", tmp_path / "one")
    RunDirectory(tmp_path / "one").label_history.write_text("round,path,label,date,run\nx,train/1,normal,d,r\n")
    assert train("--from", tmp_path / "one", "--out", tmp_path / "two") == 2
    assert "line 2: the round 'x' is not a number" in capsys.readouterr().err
    assert not RunDirectory(tmp_path / "two").split.exists()
