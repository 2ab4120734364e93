"""Users' own data: folders, CSV lists and arrays, well-formed and not."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.open import load_split
from hscl_fast.data.paths import is_plain_relative, resolve_inside
from hscl_fast.data.user.labels import check_labels
from hscl_fast.data.verify import verify_source
from hscl_fast.errors import UsageError

TREE = (
    "train/unlabeled/a.png",
    "train/unlabeled/deep/b.png",
    "train/normal/c.png",
    "train/normal/d.png",
    "train/abnormal/e.png",
    "train/abnormal/scratch/f.png",
    "test/normal/g.png",
    "test/abnormal/h.png",
    "test/abnormal/hole/i.png",
    "test/abnormal/scratch/j.png",
)


def draw(root, names):
    """An image of a different grey for each name."""
    for grey, name in enumerate(names, 1):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 12), grey).save(root / name)


def split_of(path, **options):
    return load_split(DataConfig(name=str(path), **{"held_out_ratio": 0.0, **options}))


def refused(path, match, **options):
    with pytest.raises(UsageError, match=match) as caught:
        split_of(path, **options)
    assert "\n" not in str(caught.value)


def greys(images):
    return images[:, 0, 0, 0].tolist()


# --- check_labels ---


@pytest.mark.parametrize("y", [[1, 0, -1], np.array([1.0, 0.0, -1.0]), np.array([1, 0, -1], np.int8), []])
def test_labels_become_roles(y):
    roles = check_labels(y)
    assert roles.dtype == np.int8
    assert roles.tolist() == list(map(int, y))


@pytest.mark.parametrize(
    ("y", "found"),
    [
        ([1, 0, 2, 3], r"y\[2\] is 2,"),
        ([0, 0.5], r"y\[1\] is 0\.5,"),
        ([1, float("nan")], r"y\[1\] is nan,"),
        (np.array([1, 255], np.uint8), r"y\[1\] is 255,"),
        (["normal"], "not numbers"),
        ([True, False], "not numbers"),
        ([None], "not numbers"),
        ([[1], [0]], r"shape \(2, 1\)"),
        (1, r"shape \(\)"),
        ([[1], [0, 1]], "cannot be read as one array"),
    ],
)
def test_other_values_are_refused(y, found):
    with pytest.raises(UsageError, match=found) as caught:
        check_labels(y)
    assert "0 means unlabelled and -1 abnormal, while scikit-learn's semi-supervised module uses -1" in str(
        caught.value
    )


# --- folders ---


def test_folder(tmp_path):
    draw(tmp_path, TREE)
    split = split_of(tmp_path)
    order = ["train/abnormal/e.png", "train/abnormal/scratch/f.png", *TREE[2:4], *TREE[:2]]
    assert split.record.train.image == order
    assert greys(split.training.images) == [5, 6, 3, 4, 1, 2]
    assert split.training.roles.tolist() == [-1, -1, 1, 1, 0, 0]
    assert split.training.images.shape == (6, 32, 32, 3)
    assert split.class_names == ("normal", "abnormal", "hole", "scratch")
    assert dict(zip(split.test.names, split.test.classes.tolist(), strict=True)) == {
        "test/normal/g.png": 0,
        "test/abnormal/h.png": 1,
        "test/abnormal/hole/i.png": 2,
        "test/abnormal/scratch/j.png": 3,
    }
    np.testing.assert_array_equal(split.test.abnormal, split.test.classes != 0)
    assert split.record.train.label == [1, 3, 0, 0, -1, -1]
    assert split.counts.pollution is None
    assert split.normal_class == 0


def test_folder_spelt_unlabelled_and_sized(tmp_path):
    draw(tmp_path, ["train/unlabelled/a.png", "train/unlabeled/b.png"])
    split = split_of(tmp_path, image_size=16)
    assert split.training.roles.tolist() == [0, 0]
    assert split.training.images.shape == (2, 16, 16, 3)
    assert split.test.images.shape == (0, 16, 16, 3)


def test_a_user_s_labelled_images_are_held_out_too(tmp_path):
    draw(tmp_path, [f"train/{role}/{i}.png" for role in ("normal", "abnormal", "unlabeled") for i in range(10)])
    split = split_of(tmp_path, held_out_ratio=0.2)
    assert (split.counts.held_out_normal, split.counts.held_out_abnormal) == (2, 2)
    assert set(greys(split.held_out.images)).isdisjoint(greys(split.training.images))
    assert split.counts.unlabelled == 10


@pytest.mark.parametrize("side", ["normal", "abnormal"])
def test_a_test_set_of_one_side_is_allowed(tmp_path, side):
    draw(tmp_path, ["train/normal/a.png", f"test/{side}/b.png"])
    assert getattr(split_of(tmp_path).counts, f"test_{side}") == 1


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["test/normal/a.png"], r"has no folder train/\. Expected train/unlabeled/, train/normal/"),
        (["train/normal/notes.txt"], "has no image to train on"),
        (["train/normal/a.png", "train/good/b.png"], r"train/good lies where it has no role"),
        (["train/normal/a.png", "train/b.png"], r"train/b\.png lies where it has no role"),
        (["train/normal/a.png", "test/unlabeled/b.png"], r"test/unlabeled lies where it has no role"),
        (["train/normal/a.png", "test/abnormal/normal/b.png"], "kind of anomaly called normal"),
        (["train/normal/text.png"], r"train/normal/text\.png cannot be read as an image"),
    ],
)
def test_folders_that_are_refused(tmp_path, names, match):
    draw(tmp_path, [name for name in names if "t.png" not in name and name.endswith(".png")])
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if not (tmp_path / name).exists():
            (tmp_path / name).write_text("no image")
    refused(tmp_path, match)


def test_a_link_into_the_test_images_is_refused(tmp_path):
    draw(tmp_path, ["train/normal/a.png", "test/normal/b.png"])
    (tmp_path / "train" / "abnormal").symlink_to(tmp_path / "test" / "normal")
    refused(tmp_path, r"test/normal/b\.png is reached by two names")


def test_a_part_linked_from_outside_is_refused(tmp_path):
    draw(tmp_path, ["root/train/normal/a.png", "other/b.png"])
    (tmp_path / "root" / "train" / "abnormal").symlink_to(tmp_path / "other")
    refused(tmp_path / "root", r"abnormal/b\.png leads outside of")


PARTS = ["train/unlabeled", "train/unlabelled", "train/normal", "train/abnormal", "test/normal", "test/abnormal"]
NAMES = st.text("abcXYZ09 -é", min_size=1, max_size=6).map(str.strip).filter(bool)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(PARTS), st.lists(NAMES, max_size=2).map(tuple), NAMES),
        st.sampled_from([".png", ".PNG", ".bmp", ".txt"]),
        max_size=12,
    )
)
def test_any_tree_of_folders(tmp_path_factory, tree):
    root = tmp_path_factory.mktemp("tree")
    expected = {}
    for (part, inner, name), end in tree.items():
        file = root.joinpath(part, *inner, name + end)
        file.parent.mkdir(parents=True, exist_ok=True)
        if end == ".txt":
            file.write_text("notes")
            continue
        Image.new("L", (4, 4), 9).save(file)
        kind = part.split("/")[1]
        role = {"normal": 1, "abnormal": -1}.get(kind, 0)
        expected[file.relative_to(root).as_posix()] = (part[:5] == "train", role, inner)
    train = {name: role for name, (trains, role, _) in expected.items() if trains}
    if not train:
        refused(root, "train")
        return
    if set(train.values()) == {-1}:
        refused(root, "all of them labelled abnormal")
        return
    split = split_of(root)
    columns = split.record.train
    assert dict(zip(columns.image, columns.role, strict=True)) == train
    assert split.training.roles.tolist() == columns.role
    assert set(split.test.names) == expected.keys() - train.keys()
    for name, class_id, abnormal in zip(split.test.names, split.test.classes, split.test.abnormal, strict=True):
        _, role, inner = expected[name]
        wanted = "normal" if role == 1 else inner[0] if inner else "abnormal"
        assert split.class_names[class_id] == wanted
        assert abnormal == (role == -1)


# --- CSV ---

FILES = ("a.png", "b.png", "c.png", "sub/d.png", "sub/e, f.png")
GOOD = """path,label,split
a.png,normal,train
b.png,0,train
c.png,-1,train
sub/d.png,+1,test
"sub/e, f.png",Abnormal,TEST
"""


def write_csv(folder, text, name="list.csv"):
    draw(folder, FILES)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("path,label,split", " Path , LABEL ,Split"),
        GOOD.replace("b.png,0", "b.png,unlabelled") + "\n  \n",
        GOOD.replace("b.png", "sub/../b.png"),
    ],
)
def test_csv(tmp_path, text):
    split = split_of(write_csv(tmp_path, text))
    assert split.record.train.image == ["a.png", "b.png", "c.png"]
    assert split.training.roles.tolist() == [1, 0, -1]
    assert greys(split.training.images) == [1, 2, 3]
    assert split.test.names == ("sub/d.png", "sub/e, f.png")
    assert split.test.abnormal.tolist() == [False, True]
    assert split.class_names == ("normal", "abnormal")


def test_csv_with_a_root_and_an_absolute_path_inside(tmp_path):
    images, lists = tmp_path / "images", tmp_path / "lists"
    lists.mkdir()
    draw(images, FILES)
    path = lists / "list.CSV"
    path.write_text(f"split,note,label,path\ntrain,x,1,a.png\ntrain,y,1,{images / 'b.png'}\n")
    assert split_of(path, root=str(images)).record.train.image == ["a.png", "b.png"]
    refused(path, r"line 2: there is no file 'a\.png' in .*lists")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is an empty file, not a CSV file"),
        ("path,label\na.png,1\n", r"line 1: .*give one column split"),
        ("path,label,split,label\na.png,1,train,0\n", r"line 1: .*give one column label"),
        (GOOD + "a.png,good,train\n", r"line 7: the label 'good' is unknown"),
        (GOOD + "a.png,,train\n", r"line 7: the label '' is unknown"),
        (GOOD + "a.png,1,val\n", r"line 7: the split 'val' is unknown"),
        (GOOD + "a.png,1\n", r"line 7: it has 2 fields, the header 3"),
        (GOOD + "a.png,0,test\n", r"line 7: a test image is unlabelled"),
        (GOOD + "\n./a.png,1,train\n", r"line 8: '\./a\.png' is the same image as line 2"),
        (GOOD + "a.png,1,test\n", r"line 7: 'a\.png' is an image that is in train and in test as line 2"),
        (GOOD + "none.png,1,train\n", r"line 7: there is no file 'none\.png'"),
        (GOOD + "x" * 5000 + ",1,train\n", r"line 7: there is no file 'xxx"),
        (GOOD + "sub,1,train\n", r"line 7: there is no file 'sub'"),
        (GOOD + ",1,train\n", r"line 7: the path '' does not lead to a file inside"),
        (GOOD + "../secret.png,1,train\n", r"line 7: the path '\.\./secret\.png' does not lead to a file inside"),
        (GOOD + "/etc/hostname,1,train\n", r"line 7: the path '/etc/hostname' does not lead to a file inside"),
        (GOOD + "link.png,1,train\n", r"line 7: the path 'link\.png' does not lead to a file inside"),
        (GOOD + "sub/loop.png,1,train\n", r"line 7: the path 'sub/loop\.png' does not lead to a file inside"),
        (GOOD + "a\0.png,1,train\n", r"line 7: "),
        (GOOD + '"a.png,1,train\n', r"line \d: it is not valid CSV"),
        (GOOD.encode() + b"caf\xe9.png,1,train\n", r"line 7: the text is not UTF-8"),
        (GOOD.encode("utf-16"), r"is text in UTF-16, not a CSV file in UTF-8"),
        ("path,label,split\na.png,1,test\n", "lists no image to train on"),
        (GOOD + "text.png,1,train\n", r"text\.png cannot be read as an image"),
    ],
)
def test_csv_files_that_are_refused(tmp_path, text, match):
    folder = tmp_path / "data"
    path = write_csv(folder, text)
    draw(tmp_path, ["secret.png"])
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "sub" / "loop.png").symlink_to(folder / "sub" / "loop.png")
    (folder / "text.png").write_text("no image")
    refused(path, match)


def test_missing_names_and_files(tmp_path):
    for name in ("none.csv", "none.npz", "none", "list.txt", "x" * 5000, "x" * 5000 + ".csv"):
        refused(tmp_path / name, "neither a data set nor a folder")


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "a b/ü.png", "..a/b..png", "a\\b"])
def test_plain_names(name):
    assert is_plain_relative(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/../b", "/a", "a//b", "./a", "a/", "a\0b"])
def test_names_that_are_not_plain(name):
    assert not is_plain_relative(name)


@pytest.mark.parametrize("name", ["../data-secret/a.png", "../data", ".", "..", "a\0b"])
def test_nothing_outside_is_inside(tmp_path, name):
    draw(tmp_path, ["data/a.png", "data-secret/a.png"])
    assert resolve_inside(tmp_path / "data", name) is None
    assert resolve_inside(tmp_path / "data", str(tmp_path / "data-secret" / "a.png")) is None
    assert resolve_inside(tmp_path / "data", "a.png") == (tmp_path / "data" / "a.png").resolve()


@given(st.text("./\\ab\0", max_size=12))
def test_no_plain_name_leaves_its_folder(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    if is_plain_relative(name):
        inside = resolve_inside(folder, name)
        assert inside is not None
        assert inside.relative_to(folder.resolve()).as_posix() == name


# --- npz ---


def arrays(shape=(6, 16, 16, 3), **changes):
    rng = np.random.default_rng(0)
    content = {
        "images": rng.integers(0, 256, shape, np.uint8),
        "y": np.array([1, 1, 0, 0, -1, -1]),
        "test_images": rng.integers(0, 256, (4, *shape[1:]), np.uint8),
        "test_y": np.array([1, 1, -1, -1]),
    }
    return {name: value for name, value in (content | changes).items() if value is not None}


def write_npz(folder, content):
    np.savez(folder / "data.npz", **content)
    return folder / "data.npz"


@pytest.mark.parametrize("shape", [(6, 16, 16, 3), (6, 16, 16, 1), (6, 16, 16)])
def test_npz(tmp_path, shape):
    content = arrays(shape)
    split = split_of(write_npz(tmp_path, content))
    wanted = content["images"].reshape(6, 16, 16, -1)
    np.testing.assert_array_equal(split.training.images, np.broadcast_to(wanted, (6, 16, 16, 3)))
    assert split.training.roles.tolist() == [1, 1, 0, 0, -1, -1]
    assert split.test.abnormal.tolist() == [False, False, True, True]
    assert split.test.names == ("test/0", "test/1", "test/2", "test/3")
    assert split.record.train.label == [0, 0, -1, -1, 1, 1]
    assert split.counts.pollution is None


@pytest.mark.parametrize(("shape", "size", "side"), [((6, 10, 20, 3), None, 32), ((6, 40, 40), 24, 24)])
def test_npz_sizes(tmp_path, shape, size, side):
    split = split_of(write_npz(tmp_path, arrays(shape)), image_size=size)
    assert split.training.images.shape == (6, side, side, 3)
    assert split.test.images.shape == (4, side, side, 3)


def test_npz_without_test_images(tmp_path):
    split = split_of(write_npz(tmp_path, arrays(test_images=None, test_y=None)))
    assert split.test.images.shape == (0, 16, 16, 3)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"images": None}, "has no array images"),
        ({"y": None}, "has no array y"),
        ({"test_y": None}, "has no array test_y"),
        ({"test_images": None}, "has no array test_images"),
        ({"images": np.zeros((6, 16, 16, 3))}, r"images is float64 \[6, 16, 16, 3\]"),
        ({"images": np.zeros((6, 16, 16, 4), np.uint8)}, r"images is uint8 \[6, 16, 16, 4\]"),
        ({"images": np.zeros((6, 16), np.uint8)}, r"images is uint8 \[6, 16\]"),
        ({"images": np.zeros((6, 0, 16, 3), np.uint8)}, r"images is uint8 \[6, 0, 16, 3\]"),
        ({"images": np.zeros((0, 16, 16, 3), np.uint8), "y": np.zeros(0)}, "no image to train on"),
        ({"y": np.array([1, 1, 0, 0, -1, 7])}, r"array y: y\[5\] is 7"),
        ({"y": np.array([1, 1])}, "images has 6 images, y 2 labels"),
        ({"test_y": np.array([1, 1, 0, -1])}, r"test_y\[2\] is 0, unlabelled"),
        ({"test_images": np.zeros((4, 8, 8, 3), np.uint8)}, "16 x 16 pixels and test_images 8 x 8"),
        ({"y": np.array([{}] * 6, object)}, "cannot be read as an .npz file: its array y holds Python objects"),
    ],
)
def test_npz_files_that_are_refused(tmp_path, changes, match):
    refused(write_npz(tmp_path, arrays(**changes)), match)


def test_npz_images_too_small_to_train_on(tmp_path):
    refused(write_npz(tmp_path, arrays((6, 4, 4, 3))), r"4 x 4 pixels, smaller than the 8 .*--data\.image_size")


@pytest.mark.parametrize("content", [b"", b"text", "half", "npy"])
def test_damaged_npz(tmp_path, content):
    path = write_npz(tmp_path, arrays())
    if content == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes(path.read_bytes()[:2000] if content == "half" else content)
    refused(path, r"data\.npz cannot be read as an \.npz file")


def test_verify_a_user_s_folder(tmp_path):
    draw(tmp_path, TREE)
    found = verify_source(DataConfig(name=str(tmp_path)))
    assert found.train_counts == {"normal": 2, "abnormal": 1, "hole": 0, "scratch": 1, "unlabelled": 2}
    assert found.test_counts == {"normal": 1, "abnormal": 1, "hole": 1, "scratch": 1}
