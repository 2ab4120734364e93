"""A split is written to a record and read back; false records are refused."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.open import load_split
from hscl_fast.data.split.record import checksum, read_record, write_record
from hscl_fast.errors import UsageError

FOLDERS = ("train/unlabeled", "train/normal", "train/abnormal/dent", "test/normal", "test/abnormal/dent")


def make(kind, folder):
    """The configuration of small data of a kind."""
    images = np.random.default_rng(0).integers(0, 256, (20, 12, 12, 3), np.uint8)
    if kind == "named":
        return DataConfig(normal_class=2, seed=5, pollution_ratio=0.07)
    if kind == "npz":
        y = np.array([1, 0, -1, 0] * 5)
        np.savez(folder / "data.npz", images=images, y=y, test_images=images[:4], test_y=[1, 1, -1, -1])
        return DataConfig(name=str(folder / "data.npz"))
    for number, image in enumerate(images):
        path = folder / FOLDERS[number % len(FOLDERS)] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    if kind == "folder":
        return DataConfig(name=str(folder))
    rows = [
        f"{path.relative_to(folder)},{label},{part}"
        for part, sub, label in (("train", "unlabeled", 0), ("train", "normal", 1), ("test", "normal", 1))
        for path in sorted((folder / part / sub).iterdir())
    ]
    (folder / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    return DataConfig(name=str(folder / "list.csv"))


KINDS = ("named", "npz", "folder", "csv")


@pytest.fixture
def made(request, tmp_path):
    """A configuration, its split, and the same configuration with the record of that split."""
    folder = tmp_path / "images"
    folder.mkdir()
    config = make(request.param, folder)
    split = load_split(config)
    path = tmp_path / "split.json"
    write_record(split.record, path)
    return config, split, path


def reload(made, **changes):
    config, _, path = made
    return load_split(DataConfig(**{**vars(config), "split_record": str(path), **changes}))


def tamper(made, change, seal=True):
    """Change the record on disk, and its checksum too unless ``seal`` is False."""
    plain = made[1].record.model_dump()
    change(plain)
    if seal:
        plain["checksum"] = checksum(plain)
    made[2].write_text(json.dumps(plain))


def refused(made, match, **changes):
    with pytest.raises(UsageError, match=match) as caught:
        reload(made, **changes)
    assert "\n" not in str(caught.value)
    assert "split.json" in str(caught.value)


def same(first, second):
    for part in ("training", "held_out"):
        np.testing.assert_array_equal(getattr(first, part).images, getattr(second, part).images)
        np.testing.assert_array_equal(getattr(first, part).roles, getattr(second, part).roles)
    for name in ("images", "abnormal", "classes"):
        np.testing.assert_array_equal(getattr(first.test, name), getattr(second.test, name))
    assert first.test.names == second.test.names
    assert (first.class_names, first.normal_class) == (second.class_names, second.normal_class)
    assert first.record == second.record
    assert first.counts == second.counts


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_a_record_gives_exactly_the_same_split(made):
    same(made[1], reload(made))
    # The settings that draw a split are no longer used.
    same(made[1], reload(made, normal_class=0, seed=99, pollution_ratio=0.3, held_out_ratio=0.0, protocol="released"))


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_the_record_is_complete(made):
    config, split, path = made
    plain = json.loads(path.read_text())
    assert read_record(path) == split.record
    assert plain == split.record.model_dump()
    train = plain["train"]
    held_out = [role for role, part in zip(train["role"], train["part"], strict=True) if part == "held_out"]
    assert held_out == split.held_out.roles.tolist()
    assert held_out
    assert plain["test"]["label"] == split.test.classes.tolist()
    assert (plain["seed"], plain["name"]) == (config.seed, config.name)


def test_the_file_has_the_bytes_it_always_had(tmp_path):
    """Recorded from version 1 of the format; the ratio 0 is an integer, which must not become 0.0."""
    config = DataConfig(normal_class=2, seed=5, pollution_ratio=0, protocol="released")
    write_record(load_split(config).record, tmp_path / "split.json")
    digest = hashlib.sha256((tmp_path / "split.json").read_bytes()).hexdigest()
    assert digest == "ff62e657e6a024962bc7c1904a7271c254a6185066a639c5baec7e25cac96d67"
    assert load_split(DataConfig(split_record=str(tmp_path / "split.json"))).record.pollution_ratio == 0


def test_a_name_that_is_not_utf8_is_kept(tmp_path):
    name = os.fsdecode(b"train/normal/caf\xe9.png")
    (tmp_path / "images/train/normal").mkdir(parents=True)
    Image.new("RGB", (12, 12)).save(tmp_path / "images" / name)
    config = DataConfig(name=str(tmp_path / "images"))
    write_record(load_split(config).record, tmp_path / "split.json")
    assert read_record(tmp_path / "split.json").train.image == [name]
    assert load_split(replace(config, split_record=str(tmp_path / "split.json"))).training.images.shape[0] == 1


def test_a_name_with_a_backslash_is_kept(tmp_path):
    (tmp_path / "images/train/normal").mkdir(parents=True)
    Image.new("RGB", (12, 12)).save(tmp_path / "images/train/normal/a\\b.png")
    config = DataConfig(name=str(tmp_path / "images"), split_record=str(tmp_path / "split.json"))
    write_record(load_split(replace(config, split_record=None)).record, tmp_path / "split.json")
    assert load_split(config).record.train.image == ["train/normal/a\\b.png"]


@pytest.mark.parametrize("made", ["named"], indirect=True)
def test_the_record_holds_the_hidden_labels(made):
    _, split, _ = made
    train = split.record.train
    hidden = [label for label, role in zip(train.label, train.role, strict=True) if role == 0]
    assert sum(label != 2 for label in hidden) == split.counts.pollution > 0


@pytest.mark.parametrize("made", ["folder"], indirect=True)
def test_images_added_later_do_not_change_a_reloaded_split(made):
    config, split, _ = made
    Image.new("RGB", (12, 12)).save(f"{config.name}/train/normal/new.png")
    same(split, reload(made))
    assert len(load_split(config).record.train.image) == len(split.record.train.image) + 1


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_another_image_size_is_the_same_split(made):
    other = reload(made, image_size=20)
    assert other.training.images.shape[1:] == (20, 20, 3)
    np.testing.assert_array_equal(other.training.roles, made[1].training.roles)


@pytest.mark.parametrize("made", ["npz", "folder", "csv"], indirect=True)
def test_changed_images_are_detected(made):
    config, split, _ = made
    if split.record.kind == "npz":
        content = dict(np.load(config.name))
        content["test_images"][0, 0, 0, 0] ^= 1
        np.savez(config.name, **content)
    else:
        root = made[2].parent / "images"
        Image.new("RGB", (12, 12)).save(root / split.record.test.image[0])
    refused(made, "does not fit the images of .* have changed")


@pytest.mark.parametrize("made", ["folder"], indirect=True)
def test_a_missing_image_is_named(made):
    name = made[1].record.train.image[3]
    (made[2].parent / "images" / name).unlink()
    with pytest.raises(UsageError, match=rf"{name} cannot be read as an image: there is no such file"):
        reload(made)


def column(part, name, position, value):
    def change(plain):
        plain[part][name][position] = value

    return change


def key(name, value):
    def change(plain):
        plain[name] = value

    return change


def copied(part, source):
    """The first image of ``source`` also stands first in ``part``."""

    def change(plain):
        plain[part]["image"][0] = plain[source]["image"][1]

    return change


ANY_KIND = [
    (key("format", "other"), "format is 'other', but should be 'hscl-split'"),
    (key("version", 2), "version is 2, expected 1"),
    (key("version", True), "version is True, but should be a valid integer"),
    (key("note", 1), "the key note is unknown"),
    (lambda plain: plain.pop("seed"), "the key seed is missing"),
    (key("normal_class", "2"), "normal_class is '2', but should be a valid integer"),
    (key("normal_class", 99), "normal_class is 99"),
    (key("kind", "zip"), "kind is 'zip'"),
    (key("protocol", "other"), "protocol is 'other'"),
    (key("class_names", ["a", "a"]), "class_names has a name twice"),
    (key("class_names", []), "class_names is .*, but should have at least 1 item"),
    (key("class_names", [1, 2, 3]), "class_names.0 is 1, but should be a valid string"),
    (key("sha256", "0"), "sha256 is '0', but should match pattern"),
    (key("train", []), r"train is \[\], but should be a JSON object"),
    (key("train", {"image": [], "part": [], "role": [], "label": []}), "train has no image"),
    (lambda plain: plain["test"].pop("label"), "the key test.label is missing"),
    (lambda plain: plain["train"]["role"].pop(), r"columns of train have different lengths: \d+ of image, .* of role"),
    (column("train", "role", 0, 2), "the role of .* is 2, expected 1, 0 or -1"),
    (column("train", "role", 0, True), r"train\.role\.0 is True, but should be a valid integer"),
    (column("train", "role", 0, "normal"), r"train\.role\.0 is 'normal', but should be a valid integer"),
    (column("train", "role", 0, [1]), r"train\.role\.0 is \[1\], but should be a valid integer"),
    (column("train", "part", 0, "test"), r"train\.part\.0 is 'test', but should be 'train' or 'held_out'"),
    (column("train", "part", 0, ["train"]), r"train\.part\.0 is \['train'\], but should be"),
    (column("train", "label", 0, 99), "the label of .* is 99, which is not a class"),
    (column("test", "label", 0, -1), "the label of test image .* is -1"),
    (column("test", "label", 0, 0.0), r"test\.label\.0 is 0\.0, but should be a valid integer"),
    (copied("train", "train"), "train has the image .* twice"),
    (copied("test", "test"), "test has the image .* twice"),
    (column("train", "image", 0, None), r"train\.image has None, expected"),
    (column("train", "image", 0, {}), r"train\.image has \{\}, expected"),
    (key("version", 1.0), r"version is 1\.0, but should be a valid integer"),
    (key("seed", True), "seed is True, but should be a valid integer"),
    (key("held_out_ratio", True), "held_out_ratio is True, expected a finite number"),
    (key("held_out_ratio", float("inf")), "it is not JSON .Infinity is not a JSON number"),
    (column("train", "role", 0, 1.0), r"train\.role\.0 is 1\.0, but should be a valid integer"),
    (column("train", "label", 0, 10**400), "the label of .* is 1000.*000, which is not a class"),
    (lambda plain: plain["train"].update({"a\nb": 1}), r"the key train\.a\\nb is unknown"),
]


@pytest.mark.parametrize("made", ["named", "folder"], indirect=True)
@pytest.mark.parametrize(("change", "match"), ANY_KIND)
def test_records_that_are_refused(made, change, match):
    tamper(made, change)
    refused(made, match)


@pytest.mark.parametrize("made", ["named"], indirect=True)
def test_a_number_too_large_for_a_float_is_refused(made):
    text = json.dumps(made[1].record.model_dump()).replace('"held_out_ratio": 0.2', '"held_out_ratio": 1e999')
    made[2].write_text(text)
    refused(made, "held_out_ratio is inf, expected a finite number")


@pytest.mark.parametrize("made", ["named"], indirect=True)
def test_a_value_nested_nearly_too_deep_for_json_is_refused(made):
    for depth in range(100, 1000, 50):
        made[2].write_text('{"format": ' + "[" * depth + "]" * depth + "}")
        refused(made, "format is .*, but should be|it is not JSON")


def first_with_role(role):
    def change(plain):
        plain["train"]["label"][plain["train"]["role"].index(role)] = 2 if role == -1 else 3

    return change


def call_a_normal_image_abnormal(plain):
    plain["train"]["role"][plain["train"]["role"].index(1)] = -1


@pytest.mark.parametrize("made", ["folder"], indirect=True)
def test_roles_of_a_folder_are_those_of_its_classes(made):
    tamper(made, call_a_normal_image_abnormal)
    refused(made, "has role -1 but is of class 0")


def hold_out_an_unlabelled_image(plain):
    plain["train"]["part"][plain["train"]["role"].index(0)] = "held_out"


def swap_two_hidden_labels(plain):
    train = plain["train"]
    hidden = [i for i, role in enumerate(train["role"]) if role == 0]
    normal = next(i for i in hidden if train["label"][i] == 2)
    other = next(i for i in hidden if train["label"][i] != 2)
    train["label"][normal], train["label"][other] = train["label"][other], train["label"][normal]


@pytest.mark.parametrize("made", ["named"], indirect=True)
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (first_with_role(1), "gives train images of digits other classes than they have"),
        (first_with_role(-1), "gives train images of digits other classes than they have"),
        (hold_out_an_unlabelled_image, "is held out but unlabelled"),
        (column("train", "image", 0, -1), r"train\.image has -1, expected an index"),
        (column("train", "image", 0, "0"), r"train\.image has '0', expected an index"),
        (column("test", "image", 0, 10_000), "has test image 10000, but digits has 602"),
        (swap_two_hidden_labels, "gives train images of digits other classes than they have"),
        (key("name", "cifar10"), r"was written for 'cifar10' \(named\), but --data.name is 'digits'"),
        (key("class_names", [*"012345678", "nine"]), "has the classes .*nine, but digits has"),
        (key("sha256", "0" * 64), "does not fit the images of digits"),
    ],
)
def test_records_of_a_named_set_that_are_refused(made, change, match):
    tamper(made, change)
    refused(made, match)


PATHS = ("../secret.png", "/etc/hostname", "train/../../secret.png", "a\0.png", "", ".", 3)


@pytest.mark.parametrize("made", ["folder", "csv"], indirect=True)
@pytest.mark.parametrize("path", PATHS)
def test_no_path_leaves_the_folder(made, path):
    Image.new("RGB", (12, 12)).save(made[2].parent / "secret.png")
    tamper(made, column("train", "image", 0, path))
    refused(made, r"train\.image has .*expected a path inside the data's folder")


@pytest.mark.parametrize("made", ["folder", "csv"], indirect=True)
@pytest.mark.parametrize("outside", [True, False])
def test_no_link_leaves_the_folder_or_doubles_an_image(made, outside):
    Image.new("RGB", (12, 12)).save(made[2].parent / "secret.png")
    root = made[2].parent / "images"
    target = made[2].parent / "secret.png" if outside else root / made[1].record.test.image[0]
    (root / "link.png").symlink_to(target)
    tamper(made, column("train", "image", 0, "link.png"))
    refused(made, "which leads outside of it" if outside else "which is a link to another image of the split")


@pytest.mark.parametrize("made", ["folder", "csv"], indirect=True)
def test_no_image_is_in_train_and_in_test(made):
    tamper(made, copied("train", "test"))
    refused(made, "is in train and in test")


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_an_accidental_change_is_detected(made):
    # A legal value, so that only the checksum shows the change.
    tamper(made, key("seed", 12345), seal=False)
    refused(made, "its checksum does not fit")
    tamper(made, key("checksum", "0" * 64), seal=False)
    refused(made, "its checksum does not fit")


@pytest.mark.parametrize("made", ["folder"], indirect=True)
def test_a_record_of_other_data_is_refused(made):
    refused(made, r"was written for .* \(folder\), but --data.name is 'digits' \(named\)", name="digits")


@pytest.mark.parametrize("made", ["named"], indirect=True)
@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "it is not JSON"),
        ("{", "it is not JSON"),
        ("[1]", "it is not a JSON object"),
        ("{}", "the key format is missing"),
        ('{"seed": NaN}', "it is not JSON .NaN"),
        ("[" * 100_000, "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
    ],
)
def test_files_that_are_not_a_record(made, text, match):
    made[2].write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(made, match)


@pytest.mark.parametrize("made", ["named"], indirect=True)
def test_a_record_that_is_missing(made):
    refused(made, "there is no such file", split_record=f"{made[2].parent}/split.json.none")
    refused(made, "it is a folder", split_record=str(made[2].parent))
