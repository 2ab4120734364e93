"""The layouts of a user's folder: which are understood, as what, and which are refused."""

import numpy as np
import pytest
from test_folder import TREE, draw, refused, split_of

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.verify import verify_source

MVTEC = (
    "train/good/000.png",
    "train/good/001.png",
    "test/good/000.png",
    "test/broken_large/000.png",
    "test/contamination/000.png",
    "ground_truth/broken_large/000_mask.png",
    "license.txt",
)


def lay_out(root, names):
    draw(root, [name for name in names if name.endswith(("png", "PNG"))])
    for name in names:
        if not (root / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("text")


def read(root):
    """Role of each training image, class of each test image, and what was said."""
    split = split_of(root)
    train = dict(zip(split.record.train.image, split.training.roles.tolist(), strict=True))
    assert (split.record.train.role) == split.training.roles.tolist()
    classes = [split.class_names[label] for label in split.test.classes]
    np.testing.assert_array_equal(split.test.abnormal, [name != "normal" for name in classes])
    return train, dict(zip(split.test.names, classes, strict=True)), [remark.text for remark in split.remarks]


def test_the_layout_of_the_documentation_needs_no_words(tmp_path):
    draw(tmp_path, TREE)
    assert read(tmp_path)[2] == []


def test_mvtec(tmp_path):
    lay_out(tmp_path, MVTEC)
    train, test, said = read(tmp_path)
    assert train == {"train/good/000.png": 1, "train/good/001.png": 1}
    assert test == {
        "test/good/000.png": "normal",
        "test/broken_large/000.png": "broken_large",
        "test/contamination/000.png": "contamination",
    }
    assert said == [
        "read as MVTec's layout: train/good is labelled normal, test/good is normal, and every other folder of test/ "
        "is a kind of anomaly",
        "not read: ground_truth/ beside train/ and test/",
        "left out 1 file that is not an image: license.txt",
    ]
    assert [remark.text for remark in verify_source(DataConfig(name=str(tmp_path))).remarks] == said


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (["Train/Normal/a.png", "TRAIN/x"], None, None),
        (["Train/Normal/a.png", "Train/UNLABELED/b.PNG"], [0, 1], []),
        (["train/ok/a.png", "train/nok/b.png", "test/ok/c.png", "test/nok/d.png"], [-1, 1], ["abnormal", "normal"]),
        (["train/good/a.png", "test/good/c.png", "test/bad/hole/d.png"], [1], ["hole", "normal"]),
        (["train/good/a.png", "test/good/c.png", "test/defect/d.png"], [1], ["abnormal", "normal"]),
        (["train/ok/a.png", "test/ok/c.png", "test/ko/d.png"], [1], ["abnormal", "normal"]),
        (["train/good/a.png", "Test/Good/c.png", "Test/Hole/d.png"], [1], ["Hole", "normal"]),
    ],
)
def test_other_names(tmp_path, names, train, test):
    lay_out(tmp_path, names)
    if train is None:
        refused(tmp_path, "differ in capitals only")
        return
    roles, classes, _ = read(tmp_path)
    assert sorted(roles.values()) == train
    assert sorted(classes.values()) == test


def test_other_names_are_said(tmp_path):
    lay_out(tmp_path, ["Train/Good/a.png", "train.txt", "Test/ok/c.png", "Test/NOK/d.png", "extra/e.png", "f.png"])
    assert read(tmp_path)[2] == [
        "read Train/Good/ as normal, Test/NOK/ as abnormal, Test/ok/ as normal",
        "not read: extra/ beside train/ and test/",
        "not read: 1 image file beside train/ and test/",
        "left out 1 file that is not an image: train.txt",
    ]


@pytest.mark.parametrize("names", [("good/a.png", "defect/b.png"), ("Normal/a.png", "Bad/b.png", "ground_truth/b.png")])
def test_roles_without_parts(tmp_path, names):
    lay_out(tmp_path, names)
    train, test, said = read(tmp_path)
    assert train == {names[0]: 1, names[1]: -1}
    assert test == {}
    assert "no folder train/: read " in said[0]
    assert f"{names[0].split('/')[0]}/ as normal" in said[0]
    assert said[0].endswith("all of it to train on, and nothing to test on")


@pytest.mark.parametrize(
    "names", [("a.png", "b.png"), ("cats/a.png", "dogs/old/b.png"), ("a.png", "sub/b.png", "t.txt")]
)
def test_a_folder_of_unlabelled_images(tmp_path, names):
    lay_out(tmp_path, names)
    train, test, (said, *_) = read(tmp_path)
    assert train == dict.fromkeys((name for name in names if name.endswith("png")), 0)
    assert test == {}
    assert said.startswith("no folder train/: read as one folder of unlabelled images")
    assert ("sub-folders included" in said) == any("/" in name for name in names)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ([], "has no folder train/"),
        (["notes/a.txt"], "mine has no image to train on"),
        (["test/good/a.png"], "has no folder train/"),
        (
            ["bottle/train/good/a.png", "cable/train/good/a.png"],
            r"bottle/train has a name with a meaning.*such as .*bottle",
        ),
        (["train2/a.png", "val/b.png"], "val has a name with a meaning"),
        (["good/a.png", "scratch/b.png"], "scratch lies where it has no role"),
        (["good/a.png", "b.png"], r"b\.png lies where it has no role"),
        (["good/a.png", "ok/b.png"], "lies where it has no role, because .* is there for normal images"),
        (["train/good/a.png", "train/normal/b.png"], "train/good lies where it has no role, because normal/ is there"),
        (["train/normal/a.png", "test/good/b.png", "test/scratch/c.png"], "test/scratch lies where it has no role"),
        (
            ["train/good/a.png", "test/good/b.png", "test/s/c.png", "test/d.png"],
            r"test/d\.png lies where it has no role",
        ),
        (["train/good/a.png", "test/good/b.png", "test/unlabeled/c.png", "test/s/d.png"], "lies where it has no role"),
        (["train/a.png", "test/good/b.png"], r"train/a\.png lies where it has no role"),
    ],
)
def test_ambiguous_layouts_are_refused_with_what_is_understood(tmp_path, names, match):
    root = tmp_path / "mine"
    root.mkdir()
    lay_out(root, names)
    refused(root, match)
    refused(root, r"Expected train/unlabeled/, train/normal/.* Also understood are good or ok for normal")


def test_a_run_of_another_layout_loads_again(tmp_path):
    from hscl_fast.data.split.record import write_record

    root = tmp_path / "mine"
    lay_out(root, MVTEC)
    write_record(split_of(root).record, tmp_path / "split.json")
    again = split_of(root, split_record=str(tmp_path / "split.json"))
    assert again.class_names == ("normal", "broken_large", "contamination")
