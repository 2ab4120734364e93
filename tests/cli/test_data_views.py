"""``hscl data views``: a picture of the very views that training would see."""

import numpy as np
import pytest
import torch
from PIL import Image

from hscl_fast.cli import main as cli
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.data.types import TrainingImages
from hscl_fast.method.augment import draw_views
from hscl_fast.runs.view_sheet import choose_images, render_views


def run(*arguments):
    return cli.run(["data", "views", "digits", *map(str, arguments)])


def test_a_picture_is_written_and_never_overwritten(tmp_path, capsys):
    out = tmp_path / "views.png"
    assert run("--out", out, "--images", 4) == 0
    assert "4 images and 8 views of each" in capsys.readouterr().out
    first = out.read_bytes()
    with Image.open(out) as picture:
        colours = np.unique(np.asarray(picture.convert("L")))
    assert len(colours) > 50
    assert run("--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == first
    assert run("--out", out, "--images", 4, "--overwrite") == 0
    assert out.read_bytes() == first
    assert run("--out", out, "--images", 4, "--overwrite", "--step", 1) == 0
    assert out.read_bytes() != first
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", 0], "--images is 0"),
        (["--step", -1], "--step is -1"),
        (["--augment.gray_probability", 2], "--augment.gray_probability is 2"),
        (["--out", "/nowhere/at/all.png"], "/nowhere/at/all.png cannot be written"),
    ],
)
def test_wrong_flags_are_named(arguments, message, tmp_path, capsys):
    assert run("--out", tmp_path / "views.png", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_role_is_shown():
    roles = np.array([0] * 50 + [-1] * 2 + [1] * 20, np.int8)
    chosen = choose_images(TrainingImages(np.zeros((72, 8, 8, 3), np.uint8), roles), 9)
    assert [(roles[chosen] == role).sum() for role in (1, 0, -1)] == [4, 3, 2]
    assert len(set(chosen.tolist())) == 9


@pytest.mark.parametrize("rotations", [1, 2])
def test_there_are_as_many_columns_as_rotations(rotations, tmp_path, capsys):
    assert run("--out", tmp_path / "few.png", "--images", 2, "--augment.rotations", rotations) == 0
    assert f"2 images and {2 * rotations} views of each" in capsys.readouterr().out


@pytest.mark.parametrize("rotations", [4, 2])
def test_the_views_are_those_of_the_training_step(rotations):
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    indices = np.array([7, 3, 90])
    augment = AugmentConfig(rotations=rotations)
    views = render_views(images, indices, augment, seed=5, step=11)
    assert views.shape == (2 * rotations, 3, 16, 16, 3)
    parameters = draw_views(
        augment, torch.from_numpy(indices), seed=torch.tensor(5), step=torch.tensor(11), size=(16, 16)
    )
    from hscl_kernels import augment_views

    trained_on = augment_views(torch.from_numpy(images), parameters)  # -1 to 1
    shown = torch.from_numpy(views).view(6 * rotations, 16, 16, 3).permute(0, 3, 1, 2) / 127.5 - 1
    assert (trained_on - shown).abs().max() <= 1 / 255 + 1e-4
