"""A split written down and dealt out again; manifests that lie."""

import copy
import json

import numpy as np
import pytest
from PIL import Image

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.open import load_split
from hscl_fast.data.split.record import checksum, write_manifest
from hscl_fast.data.split.record_check import read_manifest
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
    """A configuration, its split, and the same configuration with the manifest of that split."""
    folder = tmp_path / "images"
    folder.mkdir()
    config = make(request.param, folder)
    split = load_split(config)
    path = tmp_path / "split.json"
    write_manifest(split.manifest, path)
    return config, split, path


def reload(made, **changes):
    config, _, path = made
    return load_split(DataConfig(**{**vars(config), "manifest": str(path), **changes}))


def tamper(made, change, seal=True):
    """Rewrite the manifest as a forger would, checksum included, or as a slip of the hand, without."""
    manifest = copy.deepcopy(made[1].manifest)
    change(manifest)
    if seal:
        manifest["checksum"] = checksum(manifest)
    made[2].write_text(json.dumps(manifest))


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
    assert first.manifest == second.manifest
    assert first.counts == second.counts


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_a_manifest_gives_exactly_the_same_split(made):
    same(made[1], reload(made))
    # Nothing of the configuration that draws a split counts any more.
    same(made[1], reload(made, normal_class=0, seed=99, pollution_ratio=0.3, held_out_ratio=0.0, protocol="released"))


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_the_manifest_says_all_there_is(made):
    config, split, path = made
    manifest = json.loads(path.read_text())
    assert manifest == split.manifest == read_manifest(path)
    train = manifest["train"]
    held_out = [role for role, part in zip(train["role"], train["part"], strict=True) if part == "held_out"]
    assert held_out == split.held_out.roles.tolist()
    assert held_out
    assert manifest["test"]["label"] == split.test.classes.tolist()
    assert (manifest["seed"], manifest["name"]) == (config.seed, config.name)


@pytest.mark.parametrize("made", ["named"], indirect=True)
def test_the_manifest_holds_the_hidden_labels(made):
    _, split, _ = made
    train = split.manifest["train"]
    hidden = [label for label, role in zip(train["label"], train["role"], strict=True) if role == 0]
    assert sum(label != 2 for label in hidden) == split.counts.pollution > 0


@pytest.mark.parametrize("made", ["folder"], indirect=True)
def test_images_added_later_do_not_change_a_reloaded_split(made):
    config, split, _ = made
    Image.new("RGB", (12, 12)).save(f"{config.name}/train/normal/new.png")
    same(split, reload(made))
    assert len(load_split(config).manifest["train"]["image"]) == len(split.manifest["train"]["image"]) + 1


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_another_image_size_is_the_same_split(made):
    other = reload(made, image_size=20)
    assert other.training.images.shape[1:] == (20, 20, 3)
    np.testing.assert_array_equal(other.training.roles, made[1].training.roles)


@pytest.mark.parametrize("made", ["npz", "folder", "csv"], indirect=True)
def test_changed_images_are_noticed(made):
    config, split, _ = made
    if split.manifest["kind"] == "npz":
        content = dict(np.load(config.name))
        content["test_images"][0, 0, 0, 0] ^= 1
        np.savez(config.name, **content)
    else:
        root = made[2].parent / "images"
        Image.new("RGB", (12, 12)).save(root / split.manifest["test"]["image"][0])
    refused(made, "does not fit the images of .* have changed")


@pytest.mark.parametrize("made", ["folder"], indirect=True)
def test_a_missing_image_is_named(made):
    name = made[1].manifest["train"]["image"][3]
    (made[2].parent / "images" / name).unlink()
    with pytest.raises(UsageError, match=rf"{name} cannot be read as an image: there is no such file"):
        reload(made)


def column(part, name, position, value):
    def change(manifest):
        manifest[part][name][position] = value

    return change


def key(name, value):
    def change(manifest):
        manifest[name] = value

    return change


def copied(part, source):
    """The first image of ``source`` also stands first in ``part``."""

    def change(manifest):
        manifest[part]["image"][0] = manifest[source]["image"][1]

    return change


ANY_KIND = [
    (key("format", "other"), "its format is 'other'"),
    (key("version", 2), "its version is 2, expected 1"),
    (key("version", True), "its version is True"),
    (key("note", 1), "the key 'note' is unknown"),
    (lambda manifest: manifest.pop("seed"), "the key 'seed' is missing"),
    (key("normal_class", "2"), "normal_class is '2', of the wrong type"),
    (key("normal_class", 99), "normal_class is 99"),
    (key("kind", "zip"), "kind is 'zip'"),
    (key("protocol", "other"), "protocol is 'other'"),
    (key("class_names", ["a", "a"]), "class_names has a name twice"),
    (key("class_names", []), "class_names are no list of names"),
    (key("class_names", [1, 2, 3]), "class_names are no list of names"),
    (key("sha256", "0"), "sha256 is no sha256"),
    (key("train", []), r"train is \[\], of the wrong type"),
    (key("train", {"image": [], "part": [], "role": [], "label": []}), "train has no image"),
    (lambda manifest: manifest["test"].pop("label"), "test has the columns"),
    (lambda manifest: manifest["train"]["role"].pop(), r"images but \d+ values of role"),
    (column("train", "role", 0, 2), "the role of .* is 2, expected 1, 0 or -1"),
    (column("train", "role", 0, True), "the role of .* is True"),
    (column("train", "role", 0, "normal"), "the role of .* is 'normal'"),
    (column("train", "role", 0, [1]), r"the role of .* is \[1\]"),
    (column("train", "part", 0, "test"), "the part of .* is 'test'"),
    (column("train", "part", 0, ["train"]), r"the part of .* is \['train'\]"),
    (column("train", "label", 0, 99), "the label of .* is 99, which is no class"),
    (column("test", "label", 0, -1), "the label of test image .* is -1"),
    (column("test", "label", 0, 0.0), r"the label of test image .* is 0\.0"),
    (copied("train", "train"), "train has the image .* twice"),
    (copied("test", "test"), "test has the image .* twice"),
    (column("train", "image", 0, None), r"train\.image has None, expected"),
    (column("train", "image", 0, {}), r"train\.image has \{\}, expected"),
]


@pytest.mark.parametrize("made", ["named", "folder"], indirect=True)
@pytest.mark.parametrize(("change", "match"), ANY_KIND)
def test_manifests_that_are_refused(made, change, match):
    tamper(made, change)
    refused(made, match)


def first_with_role(role):
    def change(manifest):
        manifest["train"]["label"][manifest["train"]["role"].index(role)] = 2 if role == -1 else 3

    return change


def hold_out_an_unlabelled_image(manifest):
    manifest["train"]["part"][manifest["train"]["role"].index(0)] = "held_out"


def swap_two_hidden_labels(manifest):
    train = manifest["train"]
    hidden = [i for i, role in enumerate(train["role"]) if role == 0]
    normal = next(i for i in hidden if train["label"][i] == 2)
    other = next(i for i in hidden if train["label"][i] != 2)
    train["label"][normal], train["label"][other] = train["label"][other], train["label"][normal]


@pytest.mark.parametrize("made", ["named"], indirect=True)
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (first_with_role(1), "has role 1 but is of class 3"),
        (first_with_role(-1), "has role -1 but is of class 2"),
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
def test_manifests_of_a_named_set_that_are_refused(made, change, match):
    tamper(made, change)
    refused(made, match)


PATHS = ("../secret.png", "/etc/hostname", "train/../../secret.png", "a\\b.png", "a\0.png", "", ".", 3)


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
    target = made[2].parent / "secret.png" if outside else root / made[1].manifest["test"]["image"][0]
    (root / "link.png").symlink_to(target)
    tamper(made, column("train", "image", 0, "link.png"))
    refused(made, "which leads outside of it" if outside else "which is a link to another image of the split")


@pytest.mark.parametrize("made", ["folder", "csv"], indirect=True)
def test_no_image_is_in_train_and_in_test(made):
    tamper(made, copied("train", "test"))
    refused(made, "is in train and in test")


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_a_slip_of_the_hand_is_noticed(made):
    # A legal value, so that nothing but the checksum can tell.
    tamper(made, key("seed", 12345), seal=False)
    refused(made, "its checksum does not fit")
    tamper(made, key("checksum", "0" * 64), seal=False)
    refused(made, "its checksum does not fit")


@pytest.mark.parametrize("made", ["folder"], indirect=True)
def test_a_manifest_of_other_data_is_refused(made):
    refused(made, r"was written for .* \(folder\), but --data.name is 'digits' \(named\)", name="digits")


@pytest.mark.parametrize("made", ["named"], indirect=True)
@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[1]", "it is no JSON object"),
        ("{}", "its format is None"),
        ('{"seed": NaN}', "it is no JSON .NaN"),
        ("[" * 100_000, "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
    ],
)
def test_files_that_are_no_manifest(made, text, match):
    made[2].write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(made, match)


@pytest.mark.parametrize("made", ["named"], indirect=True)
def test_a_manifest_that_is_not_there(made):
    refused(made, "it cannot be read .No such file", manifest=f"{made[2].parent}/split.json.none")
    refused(made, "it cannot be read .Is a directory", manifest=str(made[2].parent))
