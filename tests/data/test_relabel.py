"""Labels that are given later, on top of those of the data."""

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hscl_fast.config.sections import DataConfig
from hscl_fast.csv_text import csv_text
from hscl_fast.data.open import open_split
from hscl_fast.data.split.record import read_record, write_record
from hscl_fast.data.user.label_file import read_labels
from hscl_fast.errors import UsageError

HOSTILE = (
    '"><script>alert(1)</script>.png',
    "line\nbreak.png",
    "return\rhere.png",
    "=1+1.png",
    " space .png",
    "a,b;c.png",
)


@pytest.fixture
def folder(tmp_path):
    """Ten unlabelled images, six labelled normal, and one anomaly with a name that is not UTF-8."""
    root, rng = tmp_path / "mine", np.random.default_rng(0)
    names = [f"train/unlabeled/{name}" for name in (*HOSTILE, *(f"{i}.png" for i in range(4)))]
    names += [f"train/normal/{i}.png" for i in range(6)]
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    odd = os.fsencode(root / "train/unlabeled") + b"/\xff.png"
    os.rename(root / "train/unlabeled/3.png", odd)
    (root / "test/normal").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(root / "test/normal/0.png")
    return root


def labels(tmp_path, rows, name="labels.csv"):
    path = tmp_path / name
    path.write_text(csv_text(["path", "label"], rows), newline="")
    return str(path)


def roles(split):
    train = split.record.train
    return dict(zip(train.image, zip(train.part, train.role, train.label, strict=True), strict=True))


def said(split):
    return [("?" if remark.doubt else "") + remark.text for remark in split.remarks]


def test_labels_join_the_roles_and_hold_nothing_out_where_the_role_had_images(tmp_path, folder):
    config = DataConfig(name=str(folder))
    before = open_split(config)
    held_out = {name for name, (part, *_) in roles(before).items() if part == "held_out"}
    assert len(held_out) == 1
    given = [
        ("train/unlabeled/0.png", "normal"),
        ("train/unlabeled/1.png", "-1"),
        ("train/unlabeled/\\udcff.png", "Abnormal"),
    ]
    split = open_split(replace(config, labels=labels(tmp_path, given)))
    after = roles(split)
    assert after["train/unlabeled/0.png"] == ("train", 1, 0)
    kind = split.class_names.index("abnormal")
    judged = {after["train/unlabeled/1.png"], after["train/unlabeled/\udcff.png"]}
    assert judged == {("train", -1, kind), ("held_out", -1, kind)}  # no image was abnormal before: one is held out
    assert {name for name, (part, role, _) in after.items() if part == "held_out" and role == 1} == held_out
    assert {name: value for name, value in after.items() if value != roles(before)[name]}.keys() == {
        "train/unlabeled/0.png",
        "train/unlabeled/1.png",
        "train/unlabeled/\udcff.png",
    }
    assert [judgement.role for judgement in split.judged] == [1, -1, -1]
    assert split.record.sha256 == before.record.sha256
    text = "3 labels (1 normal, 2 abnormal), 3 of them for images without one so far; 1 of them held out"
    assert any(text in remark for remark in said(split))


def test_every_hostile_name_is_labelled(tmp_path, folder):
    given = [(f"train/unlabeled/{name}", "abnormal") for name in HOSTILE]
    split = open_split(DataConfig(name=str(folder), labels=labels(tmp_path, given)))
    assert [judgement.name for judgement in split.judged] == [name for name, _ in given]
    assert all(roles(split)[name][1] == -1 for name, _ in given)


def test_a_later_label_replaces_an_earlier_one_and_held_out_images_stay(tmp_path, folder):
    config = DataConfig(name=str(folder))
    (held_out,) = (name for name, (part, *_) in roles(open_split(config)).items() if part == "held_out")
    other = next(name for name, (part, role, _) in roles(open_split(config)).items() if (part, role) == ("train", 1))
    first = open_split(replace(config, labels=labels(tmp_path, [(held_out, "abnormal"), (other, "unlabelled")])))
    after = roles(first)
    assert after[held_out] == ("held_out", -1, first.class_names.index("abnormal"))
    assert after[other] == ("train", 0, -1)
    doubts = [text for text in said(first) if text.startswith("?2 labels")]
    assert f"{held_out!r} was normal, is abnormal" in doubts[0]
    write_record(first.record, tmp_path / "split.json")  # a second round, on the record of the first
    again = replace(config, split_record=str(tmp_path / "split.json"))
    assert open_split(again).record == first.record
    second = open_split(
        replace(again, labels=labels(tmp_path, [(held_out, "normal"), ("train/unlabeled/0.png", "normal")], "two.csv"))
    )
    assert roles(second)[held_out] == ("held_out", 1, 0)
    assert roles(second)["train/unlabeled/0.png"] == ("train", 1, 0)
    write_record(second.record, tmp_path / "again.json")
    assert read_record(tmp_path / "again.json") == second.record


def test_labels_of_a_named_data_set_leave_the_truth_as_it_is(tmp_path):
    before = open_split(DataConfig())
    train = before.record.train
    hidden = [(i, label) for i, role, label in zip(train.image, train.role, train.label, strict=True) if role == 0]
    wrong = [(f"train/{i}", "normal" if label else "abnormal") for i, label in hidden[:6]]
    split = open_split(DataConfig(labels=labels(tmp_path, wrong)))
    assert split.record.train.label == train.label
    assert split.record.train.part == train.part
    assert split.counts.unlabelled == before.counts.unlabelled - 6
    write_record(split.record, tmp_path / "split.json")
    assert open_split(DataConfig(split_record=str(tmp_path / "split.json"))).record == split.record


def test_labels_of_arrays(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, y=np.zeros(12, np.int8))
    config = DataConfig(name=str(tmp_path / "a.npz"))
    given = [(f"train/{i}", "abnormal" if i < 5 else "normal") for i in range(10)]
    split = open_split(replace(config, labels=labels(tmp_path, given)))
    assert sorted(split.training.roles.tolist()) == [-1] * 4 + [0] * 2 + [1] * 4
    assert sorted(split.held_out.roles.tolist()) == [-1, 1]
    write_record(split.record, tmp_path / "split.json")
    again = open_split(replace(config, split_record=str(tmp_path / "split.json")))
    assert again.record == split.record


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is an empty file"),
        ("path,label\n", "has no label"),
        ("path\nx\n", "give one column label"),
        ("train/unlabeled/0.png,normal\n", "is not a header"),
        ("path,label\ntrain/unlabeled/0.png,good\n", "line 2: the label 'good' is unknown"),
        ("path,label\na,normal\na,abnormal\n", "line 3: 'a' is abnormal, but normal in line 2"),
        (
            "path,label\ntest/normal/0.png,normal\nno.png,abnormal\n",
            r"labels for 2 images of 2 .* line 2 'test/normal/0.png' \(a test image\), line 3 'no.png'",
        ),
        ('path,label\n"a,normal\n', "not valid CSV"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, folder, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        open_split(DataConfig(name=str(folder), labels=str(tmp_path / "labels.csv")))


def test_all_abnormal_is_refused(tmp_path, folder):
    every = [(name, "abnormal") for name in roles(open_split(DataConfig(name=str(folder)))) if "\udcff" not in name]
    every.append(("train/unlabeled/\\udcff.png", "abnormal"))
    with pytest.raises(UsageError, match="all 16 training images would be abnormal"):
        open_split(DataConfig(name=str(folder), labels=labels(tmp_path, every)))


def test_semicolons_and_extra_columns(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("rank;PATH;Label\n1;a.png; normal\n2;b.png;-1\n", "utf-8-sig")
    assert [(label.name, label.role) for label in read_labels(path)] == [("a.png", 1), ("b.png", -1)]
