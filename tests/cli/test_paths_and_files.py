"""Paths with ``~`` that the shell left as they are, and ``--config`` files of any content."""

import csv

import pytest
import yaml
from conftest import TINY, flags
from PIL import Image
from test_cli import folder_of_images, refused, run

from hscl_fast.cli import main as cli
from hscl_fast.config.parsing import from_dict
from hscl_fast.config.recipes import load_recipe

FAST = {**TINY, "optim": {"epochs": 1, "max_steps": 2, "batch_size": 32}}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory, and a working directory in which nothing may appear."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "home"
    assert list((tmp_path / "work").iterdir()) == []


def test_home_is_found_in_every_path(home, rng, capsys):
    folder_of_images(home / "mine", rng)
    (home / "mine.yaml").write_text("data: {image_size: 12}\n")
    commands = (
        ("train", "--data.name=~/mine", "--config=~/mine.yaml", "--out=~/run", *flags(FAST)),
        ("train", "--out=~/run", "--resume"),
        ("train", "~/mine", "--out=~/two", "--data.split_record=~/run/split.json", *flags(FAST)),
        ("eval", "~/run", "--root=~/mine", "--overwrite"),
        ("predict", "~/run", "~/mine/test", "--out=~/scores.csv"),
        ("data", "verify", "~/mine"),
        ("data", "prepare", "~/mine", "--out=~/mine.beton"),
        ("data", "views", "~/mine", "--out=~/views.png"),
    )
    for arguments in commands:
        code, _, error = run(*arguments, capsys=capsys)
        assert code == 0, (arguments, error)
    made = {"run", "two", "scores.csv", "mine.beton", "mine.beton.json", "views.png"}
    assert made <= {path.name for path in home.iterdir()}
    assert yaml.safe_load((home / "run" / "config.yaml").read_text())["data"]["image_size"] == 12
    first = next(csv.DictReader((home / "scores.csv").open()))
    assert first["path"].startswith(str(home))


@pytest.mark.parametrize("data", ["~nobody-of-this-name/mine", "~nobody-of-this-name"])
def test_the_home_of_nobody_is_refused(home, capsys, data):
    refused("train", data, *flags(FAST), capsys=capsys, match="neither a data set")
    refused("data", "list", "--roof", capsys=capsys, match="--roof")
    refused("train", "cifar10", "--data.root", data, capsys=capsys, match=data)


@pytest.mark.parametrize("content", ["latin-1", "jpeg", "utf-16", "nul", "list", "folder"])
@pytest.mark.parametrize("command", ["train", "doctor"])
def test_a_config_that_is_not_yaml_is_one_clear_error(tmp_path, capsys, content, command):
    path = tmp_path / "file"
    if content == "jpeg":
        Image.new("RGB", (40, 40), (9, 200, 3)).save(path, "JPEG")
    elif content == "folder":
        path.mkdir()
    else:
        text = {"latin-1": "data: {name: café}", "nul": "data: \0", "list": "- 1\n- 2\n"}.get(content, "data: {}")
        path.write_bytes(text.encode(content if content in ("latin-1", "utf-16") else "utf-8"))
    match = "is not text in UTF-8" if content in ("latin-1", "jpeg", "utf-16") else "config"
    refused(command, "digits", "--config", path, capsys=capsys, match=match)


@pytest.mark.parametrize("word", ["off", "Off", "'off'", "no", "false"])
def test_compile_off_is_the_word_in_yaml(tmp_path, capsys, word):
    text = f"runtime: {{compile: {word}}}\n"
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SystemExit):
        cli.run(["train", "--config", str(tmp_path / "mine.yaml"), "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["runtime"]["compile"] == "off"
    assert from_dict(yaml.safe_load(text), "test").runtime.compile == "off"
    assert load_recipe("cpu", **yaml.safe_load(text)).runtime.compile == "off"


def test_a_run_whose_config_says_off_is_resumed(tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", "digits", "--out", out, "--runtime.compile=off", *flags(FAST), capsys=capsys)[0] == 0
    config = out / "config.yaml"
    assert "compile: 'off'" in config.read_text()
    config.write_text(config.read_text().replace("compile: 'off'", "compile: off"))
    code, _, error = run("train", "--out", out, "--resume", capsys=capsys)
    assert code == 0, error


@pytest.mark.parametrize("text", ["runtime: {compile: on}", "runtime: {compile: 0}", "runtime: {deterministic: off}"])
def test_other_booleans_mean_what_they_meant(tmp_path, capsys, text):
    (tmp_path / "mine.yaml").write_text(text)
    if "deterministic" in text:
        assert from_dict(yaml.safe_load(text), "test").runtime.deterministic is False
        return
    refused("train", "digits", "--config", tmp_path / "mine.yaml", capsys=capsys, match="runtime.compile")
