"""Options that would do nothing, labels that are easily misread, and pictures that a user's data has twice."""

import numpy as np
import pytest
from PIL import Image
from test_folder import arrays, draw, refused, split_of, write_csv, write_npz

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.open import load_split
from hscl_fast.data.split import record
from hscl_fast.data.split.duplicates import Use, describe_duplicates, find_duplicates
from hscl_fast.data.split.record import write_record
from hscl_fast.data.verify import verify_source
from hscl_fast.errors import UsageError


def make(kind, folder):
    if kind == "npz":
        return write_npz(folder, arrays())
    if kind == "csv":
        return write_csv(folder, "path,label,split\na.png,1,train\nb.png,0,train\nc.png,-1,test\n")
    draw(folder, ["train/normal/a.png", "train/unlabeled/b.png"])
    return folder


def said(split):
    return [(remark.text, remark.doubt) for remark in split.remarks]


# --- options that would do nothing ---


@pytest.mark.parametrize("kind", ["folder", "csv", "npz"])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("normal_class", 1),
        ("known_abnormal_class", 2),
        ("labelled_ratio", 0.1),
        ("pollution_ratio", 0.3),
        ("superclasses", "csi"),
    ],
)
def test_a_user_s_data_brings_its_roles_along(tmp_path, kind, option, value):
    refused(make(kind, tmp_path), rf"--data\.{option} is .*brings the role of every image along", **{option: value})


def test_all_idle_options_are_named(tmp_path):
    both = r"--data\.labelled_ratio is 0\.1 and --data\.pollution_ratio is 0\.3, but .* is a folder"
    refused(make("folder", tmp_path), both, labelled_ratio=0.1, pollution_ratio=0.3)


@pytest.mark.parametrize("kind", ["folder", "csv", "npz"])
def test_the_protocol_of_a_recipe_is_ignored_with_a_remark(tmp_path, kind):
    split = split_of(make(kind, tmp_path), protocol="released")
    assert [text for text, _ in said(split) if "protocol released is not used" in text]
    assert split.record.protocol == "given"


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_a_root_for_data_that_is_a_path_is_refused(tmp_path, kind):
    data = make(kind, tmp_path)
    refused(data, r"--data\.root is .*Leave it out", root=str(tmp_path))
    with pytest.raises(UsageError, match=r"--data\.root is"):
        verify_source(DataConfig(name=str(data), root=str(tmp_path)))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"superclasses": "csi"}, "only cifar100 has super-classes and --data.name is 'digits'"),
        ({"protocol": "released", "known_abnormal_class": 3}, "--data.known_abnormal_class is 3, but --data.protocol"),
        ({"root": "somewhere"}, "--data.root is 'somewhere', but digits come with scikit-learn"),
    ],
)
def test_idle_options_of_named_data(options, match):
    with pytest.raises(UsageError, match=match):
        load_split(DataConfig(**options))


def test_a_record_says_which_options_it_overrules(tmp_path):
    record = str(tmp_path / "split.json")
    write_record(load_split(DataConfig(normal_class=3, seed=5)).record, record)
    assert said(load_split(DataConfig(split_record=record, normal_class=3))) == []
    split = load_split(DataConfig(split_record=record, pollution_ratio=0.2, seed=6))
    text = "not used, because the split record has its own: --data.pollution_ratio 0.2, --data.seed 6"
    assert said(split) == [(text, True)]


@pytest.mark.parametrize("kind", ["folder", "csv", "npz"])
def test_only_abnormal_images_to_train_on_are_refused(tmp_path, kind):
    if kind == "folder":
        draw(tmp_path, ["train/abnormal/a.png", "train/abnormal/b.png", "test/normal/c.png"])
        data = tmp_path
    elif kind == "csv":
        data = write_csv(tmp_path, "path,label,split\na.png,-1,train\nb.png,-1,train\nc.png,1,test\n")
    else:
        data = write_npz(tmp_path, arrays(y=-np.ones(6)))
    refused(data, r"\d training images, all of them labelled abnormal")


# --- 0 and 1 ---

ZERO_ONE = "has 0 and 1 only: read as 0 unlabelled, 1 normal; if 1 stands for an anomaly in this data, recode"


@pytest.mark.parametrize("test", [{}, {"test_y": np.array([1, 1, 1, 1])}])
def test_arrays_labelled_0_and_1_are_warned_of(tmp_path, test):
    content = arrays(y=np.array([0, 0, 0, 0, 0, 1]), **(test or {"test_images": None, "test_y": None}))
    (remark,) = said(split_of(write_npz(tmp_path, content)))
    assert f"y {ZERO_ONE}" in remark[0]
    assert remark[1]


@pytest.mark.parametrize(
    "changes",
    [{}, {"y": np.array([0, 0, 0, 1, 1, 1])}, {"y": np.ones(6), "test_y": np.ones(4)}],
    ids=["all three", "anomalies to test on", "no zero"],
)
def test_other_arrays_are_not(tmp_path, changes):
    assert said(split_of(write_npz(tmp_path, arrays(**changes)))) == []


def test_test_labels_0_and_1_are_refused_with_the_convention(tmp_path):
    data = write_npz(tmp_path, arrays(test_y=np.array([0, 0, 1, 1])))
    refused(data, r"test_y\[0\] is 0, unlabelled.*if 1 stands for an anomaly in this data, recode")
    data = write_csv(tmp_path, "path,label,split\na.png,1,train\nb.png,0,test\n")
    refused(data, "line 3: a test image is unlabelled.*if 1 stands for an anomaly in this data, recode")


@pytest.mark.parametrize(("normal", "unlabelled", "warned"), [("1", "0", True), ("normal", "unlabeled", False)])
def test_a_list_labelled_0_and_1_is_warned_of(tmp_path, normal, unlabelled, warned):
    text = f"path,label,split\na.png,{normal},train\nb.png,{unlabelled},train\n"
    assert any(ZERO_ONE in remark for remark, _ in said(split_of(write_csv(tmp_path, text)))) == warned
    abnormal = write_csv(tmp_path, text + "c.png,-1,test\n")
    assert said(split_of(abnormal)) == []


# --- separators and paths of Windows ---

LIST = "path,label,split\na.png,1,train\nb.png,0,train\nsub/d.png,-1,train\n"


@pytest.mark.parametrize(("separator", "name"), [(";", "a semicolon"), ("\t", "a tab"), (",", None)])
@pytest.mark.parametrize("quoted", [False, True])
def test_separators(tmp_path, separator, name, quoted):
    text = LIST.replace("path,label,split", '"path","label","split"') if quoted else LIST
    split = split_of(write_csv(tmp_path, text.replace(",", separator)))
    assert split.record.train.image == ["a.png", "b.png", "sub/d.png"]
    assert said(split) == ([(f"read with {name} between the fields, as in the header", False)] if name else [])


def test_a_path_with_a_semicolon_stays_whole(tmp_path):
    draw(tmp_path, ["a;b.png"])
    assert split_of(write_csv(tmp_path, LIST + "a;b.png,1,train\n")).record.train.image[-1] == "a;b.png"


def test_other_separators_are_named_in_the_error(tmp_path):
    refused(write_csv(tmp_path, LIST.replace(",", "|")), "with commas, semicolons or tabs between the columns")
    refused(write_csv(tmp_path, LIST.replace(",", ";") + "a;b.png;1;train\n"), "quote paths that contain a semicolon")


def test_paths_of_windows(tmp_path):
    path = write_csv(tmp_path, LIST.replace("sub/d", "sub\\d"))
    split = split_of(path)
    assert split.record.train.image[-1] == "sub/d.png"
    assert said(split) == [("read with / in place of \\ in 1 path", False)]
    refused(
        write_csv(tmp_path, LIST + "C:\\sub\\d.png,1,train\n"), r"line 5: .*a path of Windows must be made relative"
    )
    refused(write_csv(tmp_path, LIST + "..\\secret.png,1,train\n"), r"line 5: ")


def test_a_name_that_has_a_backslash_is_not_rewritten(tmp_path):
    draw(tmp_path, ["sub\\d.png"])
    path = write_csv(tmp_path, LIST.replace("sub/d", "sub\\d"))
    assert split_of(path).record.train.image[-1] == "sub\\d.png"


# --- npz messages ---


@pytest.mark.parametrize("content", ["text", "pickle", "objects", "member"])
def test_no_message_advises_to_unpickle(tmp_path, content):
    path = tmp_path / "data.npz"
    if content == "text":
        path.write_text("not arrays")
    elif content == "pickle":
        import pickle

        path.write_bytes(pickle.dumps([1, 2]))
    elif content == "objects":
        write_npz(tmp_path, arrays(images=np.array([{}], object)))
    else:
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", b"not an array")
            archive.writestr("y.npy", b"not an array")
    with pytest.raises(UsageError, match=r"data\.npz") as caught:
        split_of(path)
    assert "pickle" not in str(caught.value)
    assert "Expected images uint8" in str(caught.value)


# --- the same picture twice ---


def pairs(found):
    return sorted((d.first, str(d.first_use), d.second, str(d.second_use)) for d in found.duplicates)


def test_the_same_file_in_contradicting_uses(tmp_path):
    names = [f"train/{role}/{i}.png" for role in ("unlabeled", "normal", "abnormal") for i in range(3)]
    draw(tmp_path, [*names, "test/normal/0.png", "test/abnormal/0.png", "test/abnormal/1.png"])

    def copy(source, target):
        (tmp_path / target).write_bytes((tmp_path / source).read_bytes())

    copy("train/unlabeled/0.png", "test/normal/copy.png")
    copy("train/unlabeled/1.png", "train/abnormal/copy.png")
    copy("train/normal/1.png", "train/abnormal/copy2.png")
    copy("test/normal/0.png", "test/abnormal/copy.png")
    copy("train/unlabeled/2.png", "train/unlabeled/again.png")  # no contradiction
    copy("train/unlabeled/2.png", "train/normal/again.png")  # nor this
    expected = [
        ("test/abnormal/copy.png", "test, abnormal", "test/normal/0.png", "test, normal"),
        ("train/abnormal/copy.png", "train, abnormal", "train/unlabeled/1.png", "train, unlabelled"),
        ("train/abnormal/copy2.png", "train, abnormal", "train/normal/1.png", "train, normal"),
        ("train/unlabeled/0.png", "train, unlabelled", "test/normal/copy.png", "test, normal"),
    ]
    split = split_of(tmp_path)
    assert pairs(split) == expected
    assert pairs(verify_source(DataConfig(name=str(tmp_path)))) == expected
    write_record(split.record, tmp_path / "split.json")
    assert pairs(split_of(tmp_path, split_record=str(tmp_path / "split.json"))) == expected


def test_different_files_that_shrink_to_the_same_pixels_are_different(tmp_path):
    for name, side in (("train/unlabeled/a.png", 40), ("test/normal/b.png", 41)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (side, side), 9).save(tmp_path / name)
    split = split_of(tmp_path, image_size=8)
    np.testing.assert_array_equal(split.training.images, split.test.images)
    assert split.duplicates == ()


@pytest.mark.parametrize("beton", [False, True])
def test_the_same_pixels_in_arrays(tmp_path, beton):
    from betons import beton_of

    content = arrays()
    content["test_images"][1] = content["images"][2]
    content["images"][4] = content["images"][3]
    data = write_npz(tmp_path, content)
    config = beton_of(data, tmp_path / "data.beton") if beton else DataConfig(name=str(data))
    expected = [
        ("train/2", "train, unlabelled", "test/1", "test, normal"),
        ("train/3", "train, unlabelled", "train/4", "train, abnormal"),
    ]
    assert pairs(load_split(config)) == expected
    assert pairs(verify_source(config)) == expected


def test_a_named_data_set_is_not_searched():
    assert load_split(DataConfig()).duplicates == ()


def test_the_files_of_a_user_are_read_once_to_hash_them(tmp_path, monkeypatch):
    draw(tmp_path, ["train/normal/a.png", "train/unlabeled/b.png", "test/normal/c.png"])
    read = []
    real = record.read_limited
    monkeypatch.setattr(record, "read_limited", lambda path, most: read.append(path.name) or real(path, most))
    split_of(tmp_path)
    assert sorted(read) == ["a.png", "b.png", "c.png"]


def test_a_picture_that_is_there_often_is_one_pair_each_time():
    uses = [Use("train", 0)] * 100 + [Use("test", 1)] * 100
    found = find_duplicates([b"x"] * 200, [str(i) for i in range(200)], uses)
    assert len(found) == 100
    assert {pair.first for pair in found} == {"0"}
    text = describe_duplicates(found)
    assert text.startswith("100 pictures are there twice, in uses that contradict each other: 0 (train, unlabelled) = ")
    assert text.endswith("; and 97 more")


def test_a_held_out_image_that_is_trained_on_is_found(tmp_path):
    for number in range(10):
        (tmp_path / "train/normal").mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 12), number // 2).save(tmp_path / f"train/normal/{number}.png")
    held = split_of(tmp_path, held_out_ratio=0.3).duplicates
    assert held
    assert all({pair.first_use.part, pair.second_use.part} == {"train", "held out"} for pair in held)
    assert split_of(tmp_path, held_out_ratio=0.0).duplicates == ()
