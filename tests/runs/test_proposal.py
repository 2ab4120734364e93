"""The proposal of a pretrained encoder: for large images, without a GPU, and with a command that is one."""

import shlex

import numpy as np
import pytest
import torch
from conftest import tiny_config
from PIL import Image

from hscl_fast.cli.parser import parse
from hscl_fast.data.open import open_split
from hscl_fast.runs.proposal import propose_pretrained

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path, rng):
    def make(size):
        for place in ("train/unlabeled", "train/normal", "train/abnormal", "test/normal", "test/abnormal"):
            path = tmp_path / "my images" / place
            path.mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 256, (size, size), dtype=np.uint8)
                Image.fromarray(pixels).save(path / f"{number}.png")
        return tmp_path / "my images"

    return make


def proposed(folder, device=CPU, **sections):
    data = {"name": str(folder), "held_out_ratio": 0.0, "exclude": ["*_mask.png", "old images"]}
    config = tiny_config(data=data, **sections)
    return propose_pretrained(config, open_split(config.data), device)


@pytest.fixture(autouse=True)
def unused_patterns(monkeypatch):
    monkeypatch.setattr("hscl_fast.data.find.Finder.require_used", lambda *others: None)


def test_large_images_get_a_command_that_works(folder):
    path = folder(80)
    (remark,) = proposed(path)
    assert remark.doubt
    assert "80x80 px" in remark.text
    assert "https://huggingface.co/timm/tf_efficientnet_lite0" in remark.text
    assert "--model.weights" in remark.text
    _, command, _ = remark.text.split("`")
    program, *arguments = shlex.split(command)
    assert program == "hscl"
    _, options = parse(arguments)
    assert options.data.name == str(path)
    assert list(options.data.exclude) == ["*_mask.png", "old images"]
    assert options.data.held_out_ratio == 0.0
    assert options.model.freeze


def test_nothing_is_proposed_where_it_would_not_help(folder, monkeypatch):
    path = folder(80)
    assert not proposed(path, torch.device("cuda"))
    assert not proposed(path, model={"encoder": "resnet18", "width": 64, "weights": "w.safetensors"})
    config = tiny_config(data={"name": "digits", "image_size": 80})
    assert not propose_pretrained(config, open_split(config.data), CPU)


def test_small_images_are_trained_from_scratch(folder):
    assert not proposed(folder(64))
