"""Mistakes on the command line and in YAML: a message names the option, its value, what is expected."""

import re

import pytest
import yaml
from conftest import TINY, flags
from PIL import Image
from test_cli import refused, run

from hscl_fast.cli.main import COMMANDS
from hscl_fast.config.parsing import from_dict
from hscl_fast.errors import UsageError

INTERNAL = ("Union", "Literal", "<class", "typing", "Parser key", "class_path", "Subtypes", "Subcommand", "validate")


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A working directory in which nothing may appear."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} <= {"mine.yaml"}


WRONG_VALUES = [
    ("optim.batch_size", "many", "'many', but must be a whole number."),
    ("optim.batch_size", "2.5", "2.5, but must be a whole number."),
    ("optim.batch_size", "[3, 4]", "[3, 4], but must be a whole number."),
    ("optim.max_steps", "1,000", "'1,000', but must be a whole number, or null. Write it as 1000."),
    ("optim.max_steps", "{a: 3}", "{'a': 3}, but must be a whole number, or null."),
    ("optim.learning_rate", "fast", "'fast', but must be a number."),
    ("optim.batch_size", "null", "null, but must be a whole number."),
    ("objective.shift_loss", "maybe", "'maybe', but must be true or false."),
    ("runtime.precision", "fp8", "'fp8', but must be one of auto, float32, tf32, bfloat16 or float16."),
    (
        "runtime.precision",
        "float-16",
        "'float-16', but must be one of auto, float32, tf32, bfloat16 or float16. Did you mean float16?",
    ),
    ("augment.crop_area", "3", "3, but must be two numbers such as [0.5, 1.0], or null."),
    ("augment.crop_area", "[0.5]", "[0.5], but must be two numbers such as [0.5, 1.0], or null."),
    ("augment.crop_area", "[a, b]", "['a', 'b'], but must be two numbers such as [0.5, 1.0], or null."),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_what_is_expected(nowhere, capsys, name, value, said):
    refused("train", "digits", f"--{name}", value, capsys=capsys, match=f"error: --{name} is {said[:-1]}")
    section, _, field = name.partition(".")
    (nowhere / "mine.yaml").write_text(f"{section}:\n  {field}: {value}\n")
    code, _, error = run("train", "digits", "--config", "mine.yaml", capsys=capsys)
    assert code == 2
    assert f"--config mine.yaml: {name} is {said[:-1]}" in error
    assert not any(word in error for word in INTERNAL)
    with pytest.raises(UsageError) as raised:
        from_dict(yaml.safe_load((nowhere / "mine.yaml").read_text()), "RUN/config.yaml")
    assert f"RUN/config.yaml: {name} is {said[:-1]}" in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["train", "digits", "--optim.batchsize", "3"], "no flag --optim.batchsize. Did you mean --optim.batch_size?"),
        (["train", "digits", "--optim.batch", "3"], "no flag --optim.batch. Did you mean --optim.batch_size?"),
        (["train", "digits", "--data.normal-class=3"], "Did you mean --data.normal_class?"),
        (["train", "digits", "--batch_size=3"], "Did you mean --optim.batch_size or --evaluate.batch_size?"),
        (["train", "digits", "--scoring=knn"], "Did you mean --evaluate.scoring?"),
        (["train", "digits", "-out=3"], "Did you mean --out?"),
        (["eval", "run", "--scorring", "knn"], "Did you mean --scoring? See `hscl eval --help`."),
        (
            ["eval", "run", "--scoring", "nkk"],
            "--evaluate.scoring is 'nkk', but must be auto, one of paper,",
        ),
        (["data", "views", "digits", "--out=a.png", "--view-seed=3"], "Did you mean --view_seed?"),
        (["data", "prepare", "digits", "--out=a.beton", "--skipbad"], "Did you mean --skip_bad?"),
        (["data", "prepare", "digits", "--out=a.beton", "--encoding=jpg"], "--encoding is 'jpg', but must be one of"),
        (["data", "views", "digits", "--out=a.png", "--step=x"], "--step is 'x', but must be a whole number."),
        (["trian", "digits"], "hscl has no command 'trian'. Did you mean train?"),
        (["data", "lst"], "hscl data has no command 'lst'. Did you mean list?"),
        (["train", "cifar-10"], "Did you mean cifar10?"),
        (["train", "FashionMNIST"], "Did you mean fashion_mnist?"),
        (["train", "digits", "--recipe", "papper"], "Did you mean paper?"),
        (["train", "digits", "more"], "'more' is an argument too many: expected only DATA"),
        (["train", "digits", "--optim", "3"], "--optim stands for a whole section."),
        (["train", "digits", "--optim.epochs"], "--optim.epochs has no value, but must be a whole number."),
        (["train", "digits", "--optim.epochs="], "--optim.epochs is '', but must be a whole number."),
        (["train", "digits", "--overwrite=yes"], "--overwrite takes no value, but was given 'yes'."),
        (["train", "digits", "--out="], "--out is empty"),
        (["train", "digits", "--data.root="], "--data.root is empty"),
        (["train", "digits", "--out", "-"], "--out is -, the standard output, but `hscl train` writes a run directory"),
        (["data", "prepare", "digits", "--out", "-"], "`hscl data prepare` writes a .beton"),
        (["data", "views", "digits", "--out=-"], "`hscl data views` writes a PNG file"),
        (["data", "verify", ""], "DATA is empty"),
        (["predict", "run", "", "--out=a.csv"], "PATH is empty"),
        (["train"], "`hscl train` needs DATA"),
        (["train", "--recipe", "cpu"], "`hscl train` needs DATA"),
        (["eval"], "`hscl eval` needs RUN."),
        (["data", "prepare"], "`hscl data prepare` needs DATA and --out."),
        (["train", "digits", "--optim.epochs=\udcff"], "--optim.epochs has a value that cannot be read"),
        (["train", "\udcff"], "neither a data set nor a folder"),
    ],
)
def test_a_mistake_is_explained(nowhere, capsys, arguments, match):
    refused(*arguments, capsys=capsys, match=match)
    error = run(*arguments, capsys=capsys)[2]
    assert not any(word in error for word in INTERNAL)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("optim: {batchsize: 3}", "the unknown key optim.batchsize. Did you mean optim.batch_size?"),
        ("runtime: {log_every: 3}", "the unknown key runtime.log_every. Did you mean record.log_every?"),
        ("optm: {batch_size: 3}", "the unknown section optm. Did you mean optim?"),
        ("optm: {}", "the unknown section optm. Did you mean optim?"),
        ("max_steps: 3", "the unknown section max_steps. Did you mean optim.max_steps?"),
        ("optim: 3", "the section optim is 3, but must have one line `key: value` for each field"),
        ("augment: [1, 2]", "the section augment is [1, 2], but must have"),
        ("optim:", "the section optim is null, but must have"),
        (
            "nonsense: {a: 1}",
            "the unknown section nonsense. Correct it, or remove it; the sections are data, method, model",
        ),
        ("3", "holds a int, but must have the sections"),
        ("", "holds nothing, but must have the sections"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_mistake_in_yaml_names_the_file(nowhere, capsys, text, match):
    (nowhere / "mine.yaml").write_text(text)
    refused("train", "digits", "--config", "mine.yaml", capsys=capsys, match="error: --config mine.yaml")
    refused("doctor", "--config", "mine.yaml", capsys=capsys, match=match)


def test_a_config_that_is_not_there_is_named(nowhere, capsys):
    refused("train", "digits", "--config=no.yaml", capsys=capsys, match="--config no.yaml cannot be read (No such file")


def test_the_configuration_of_a_run_is_explained_as_well(tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", "digits", "--out", out, *flags(TINY), "--optim.max_steps=1", capsys=capsys)[0] == 0
    right = (out / "config.yaml").read_text()
    for wrong, match in (
        (
            right.replace("batch_size: 32", "batch_size: many"),
            "optim.batch_size is 'many', but must be a whole number.",
        ),
        (
            right.replace("batch_size: 32", "batchsize: 32"),
            "unknown key optim.batchsize. Did you mean optim.batch_size?",
        ),
    ):
        assert wrong != right
        (out / "config.yaml").write_text(wrong)
        refused("train", "--out", out, "--resume", capsys=capsys, match=match)
        refused("eval", out, capsys=capsys, match=match)


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_without_a_command_there_is_help(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments, capsys=capsys)
    assert stopped.value.code == 0
    said = capsys.readouterr()
    assert not said.err
    names = [name.split()[len(arguments)] for name in COMMANDS if name.split()[: len(arguments)] == arguments]
    assert names
    assert all(f"\n    {name}" in said.out for name in names)


def test_the_data_may_be_named_in_the_file(nowhere, capsys):
    (nowhere / "mine.yaml").write_text("data: {name: cifar-10}")
    refused("train", "--config=mine.yaml", capsys=capsys, match="Did you mean cifar10?")
    refused("train", "--data.name=cifar-10", capsys=capsys, match="Did you mean cifar10?")


@pytest.mark.parametrize("width", [40, 80])
def test_the_list_of_data_sets_cuts_no_path(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    root = "/a/very/long/path/to/some/folder/that/exceeds/every/usual/terminal"
    code, said, _ = run("data", "list", "--root", root, capsys=capsys)
    assert code == 0
    assert re.search(rf"^  svhn +{root}/train_32x32\.mat$", said, re.MULTILINE)
    assert "…" not in said.partition("searched:")[2]
    assert len([line for line in said.splitlines() if line.startswith("  ")]) > 10


def test_one_is_singular(tmp_path, capsys):
    Image.new("RGB", (16, 16)).save(tmp_path / "0.png")
    (tmp_path / "list.csv").write_text("path,label,split\n0.png,1,train\n")
    data = tmp_path / "list.csv"
    code, said, error = run("data", "prepare", data, "--out", tmp_path / "a.beton", capsys=capsys)
    assert code == 0, error
    assert "1 image of 32x32 px" in said
    code, said, _ = run("data", "views", "digits", "--images=1", "--out", tmp_path / "a.png", capsys=capsys)
    assert code == 0
    assert "1 image and 8 views" in said
    refused("train", data, "--out", tmp_path / "run", capsys=capsys, match="training set has 1 image, but contrastive")
