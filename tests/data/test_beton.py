"""Betons give back the images they were made of, report every bad file, and are checked before FFCV maps them."""

import hashlib
import json
import os
import signal

import numpy as np
import pytest
from betons import beton_of, draw_folder

from hscl_fast.cli import main as cli
from hscl_fast.config.sections import DataConfig
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.beton.format import ALLOCATION, DESCRIPTOR, HEADER, PAGE, SAMPLE, SAMPLES_START
from hscl_fast.data.beton.sidecar import sidecar_path
from hscl_fast.data.beton.writer import BetonWriter
from hscl_fast.data.open import load_split, open_split
from hscl_fast.data.verify import verify_source
from hscl_fast.errors import UsageError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A .beton of digits, raw."""
    path = tmp_path_factory.mktemp("beton") / "digits.beton"
    beton_of("digits", path)
    return path


@pytest.fixture
def copied(prepared, tmp_path):
    """A copy to damage."""
    path = tmp_path / "copy.beton"
    path.write_bytes(prepared.read_bytes())
    sidecar_path(path).write_bytes(sidecar_path(prepared).read_bytes())
    return path


def refused(path, match, **options):
    with pytest.raises(UsageError, match=match) as caught:
        open_split(DataConfig(name=str(path), **options))
    assert "\n" not in str(caught.value)


def change_sidecar(path, change):
    plain = json.loads(sidecar_path(path).read_text())
    change(plain)
    sidecar_path(path).write_text(json.dumps(plain))


def sign(path):
    """Give the sidecar the checksum of the damaged file, as an attacker would."""
    data = path.read_bytes()
    change_sidecar(path, lambda m: m.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)))


# --- the same images come out ---


def test_a_beton_of_a_named_set_gives_the_same_split(prepared, digits):
    split = load_split(DataConfig(name=str(prepared)))
    for part in ("training", "held_out", "test"):
        ours, theirs = getattr(split, part), getattr(digits, part)
        np.testing.assert_array_equal(ours.images, theirs.images)
    np.testing.assert_array_equal(split.training.roles, digits.training.roles)
    np.testing.assert_array_equal(split.test.classes, digits.test.classes)
    assert split.counts == digits.counts
    assert split.counts.pollution == digits.counts.pollution > 0
    assert (split.class_names, split.normal_class, split.test.names) == (
        digits.class_names,
        digits.normal_class,
        digits.test.names,
    )


def test_the_normal_class_comes_with_the_beton(tmp_path):
    config = beton_of("digits", tmp_path / "three.beton", normal_class=3, image_size=16)
    split, theirs = load_split(config), load_split(DataConfig(normal_class=3, image_size=16))
    assert split.normal_class == 3
    assert split.counts == theirs.counts
    np.testing.assert_array_equal(split.test.abnormal, theirs.test.abnormal)
    np.testing.assert_array_equal(split.training.images, theirs.training.images)


def test_a_beton_of_a_folder_gives_the_same_split(tmp_path):
    root = draw_folder(tmp_path / "mine")
    split, theirs = load_split(beton_of(root, tmp_path / "m.beton")), load_split(DataConfig(name=str(root)))
    np.testing.assert_array_equal(split.training.images, theirs.training.images)
    np.testing.assert_array_equal(split.held_out.roles, theirs.held_out.roles)
    assert split.test.names == theirs.test.names
    assert split.counts == theirs.counts


def test_a_split_of_a_beton_reloads_from_its_record(prepared, tmp_path):
    from hscl_fast.data.split.record import write_record

    split = open_split(DataConfig(name=str(prepared)))
    write_record(split.record, tmp_path / "split.json")
    again = open_split(DataConfig(name=str(prepared), split_record=str(tmp_path / "split.json")))
    assert again.record == split.record
    np.testing.assert_array_equal(again.training.images[:], split.training.images[:])
    other = beton_of("digits", tmp_path / "other.beton", seed=1)
    refused(other.name, "does not fit|other classes", split_record=str(tmp_path / "split.json"))


def test_jpeg_is_close_and_chosen_from_64_pixels_on(tmp_path):
    root = draw_folder(tmp_path / "mine", size=64)
    for size, encoding in ((63, "raw"), (64, "jpeg")):
        path = tmp_path / f"{size}.beton"
        beton_of(root, path, image_size=size)
        assert json.loads(sidecar_path(path).read_text())["encoding"] == encoding
    smooth = tmp_path / "smooth.npz"
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (4, 64, 64, 3))
    np.savez(smooth, images=ramp, y=np.array([0, 0, 1, 1]))
    pytest.importorskip("ffcv")
    split = load_split(beton_of(smooth, tmp_path / "smooth.beton", quality=95))
    assert np.abs(split.training.images.astype(int) - ramp[0]).max() <= 8


def test_ffcv_reads_the_tables_as_written(prepared):
    pytest.importorskip("ffcv")
    from hscl_fast.data.beton.ffcv_import import import_ffcv

    import_ffcv()
    from ffcv import types
    from ffcv.fields import IntField, RGBImageField
    from ffcv.reader import Reader

    assert (types.HeaderType, types.FieldDescType, types.ALLOC_TABLE_TYPE) == (HEADER, DESCRIPTOR, ALLOCATION)
    assert types.get_metadata_type([RGBImageField(), IntField(), IntField(), IntField()]) == SAMPLE
    reader = Reader(str(prepared))
    assert reader.field_names == ["image", "role", "index", "part"]
    assert [type(handler) for handler in reader.handlers.values()] == [RGBImageField, IntField, IntField, IntField]
    sidecar = json.loads(sidecar_path(prepared).read_text())
    assert reader.metadata["f1"].tolist() == sidecar["train"]["role"] + [0] * len(sidecar["test"]["name"])
    assert reader.num_samples == len(reader.alloc_table) == sum(sidecar["counts"].values())


def test_the_same_data_gives_the_same_bytes(prepared, tmp_path):
    beton_of("digits", tmp_path / "again.beton")
    assert (tmp_path / "again.beton").read_bytes() == prepared.read_bytes()


def test_the_sidecar_has_the_bytes_it_always_had(prepared):
    """Recorded from version 1 of the format."""
    assert (
        hashlib.sha256(sidecar_path(prepared).read_bytes()).hexdigest()
        == "ed9237743ca5be5c51dc524e9fa98055c1c7eeab3bae0dd853fa8c201fa51311"
    )


def test_images_are_read_on_access_only(tmp_path, monkeypatch):
    from hscl_fast.data import decode as images

    root = draw_folder(tmp_path / "mine")
    decoded, real = [], images.load_image
    monkeypatch.setattr(images, "load_image", lambda path, size: decoded.append(path.name) or real(path, size))
    split = open_split(DataConfig(name=str(root)))
    assert split.training.images.shape == (20, 32, 32, 3)
    assert not decoded
    split.training.images[3:5]
    split.test.images[0]
    assert len(decoded) == 3


def test_verify_reads_a_beton_and_its_checksum(copied):
    found = verify_source(DataConfig(name=str(copied)))
    assert found.train_shape[1:] == (8, 8, 3)
    assert sum(found.test_counts.values()) == 602
    content = bytearray(copied.read_bytes())
    content[2 * PAGE - 100] ^= 1  # in the padding, which belongs to no image
    copied.write_bytes(content)
    with pytest.raises(UsageError, match="checksum"):
        verify_source(DataConfig(name=str(copied)))


# --- bad files ---


def break_files(root):
    (root / "train/normal/3.png").write_text("no image")
    (root / "test/normal/5.png").write_bytes(b"")
    broken = root / "train/unlabeled/7.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    return ("train/normal/3.png", "test/normal/5.png", "train/unlabeled/7.png")


def prepare(*arguments):
    return cli.run(["data", "prepare", *map(str, arguments)])


def test_all_bad_files_are_in_one_report_and_no_file_is_left(tmp_path, capsys):
    root = draw_folder(tmp_path / "mine")
    bad = break_files(root)
    assert prepare(root, "--out", tmp_path / "m.beton") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert all(str(root / name) in said.err for name in bad)
    assert "--skip_bad" in said.err
    assert os.listdir(tmp_path) == ["mine"]
    for call in (load_split, verify_source):
        with pytest.raises(BadImages, match="3 files cannot be read as images") as caught:
            call(DataConfig(name=str(root)))
        assert {path for path, _ in caught.value.files} == {str(root / name) for name in bad}


def test_many_bad_files_are_listed_before_the_error(tmp_path, capsys):
    root = draw_folder(tmp_path / "mine")
    for path in root.glob("*/*/*.png"):
        path.write_text("no image")
    assert prepare(root, "--out", tmp_path / "m.beton") == 2
    said = capsys.readouterr()
    assert "and 12 more" in said.err
    assert len(said.out.strip().splitlines()) == 32


def test_skip_bad_leaves_bad_files_out_and_records_them(tmp_path, capsys):
    root = draw_folder(tmp_path / "mine")
    bad = break_files(root)
    assert prepare(root, "--out", tmp_path / "m.beton", "--skip-bad", "--image_size=16") == 0
    said = capsys.readouterr().out
    assert all(f"skipped {root / name}" in said for name in bad)
    sidecar = json.loads(sidecar_path(tmp_path / "m.beton").read_text())
    assert {row["file"] for row in sidecar["skipped"]} == {str(root / name) for name in bad}
    assert sidecar["counts"] == {"train": 22, "test": 15}
    split = load_split(DataConfig(name=str(tmp_path / "m.beton"), held_out_ratio=0.0))
    for name in bad:
        (root / name).unlink()
    theirs = load_split(DataConfig(name=str(root), held_out_ratio=0.0, image_size=16))
    np.testing.assert_array_equal(split.training.images, theirs.training.images)
    np.testing.assert_array_equal(split.training.roles, theirs.training.roles)
    assert split.test.names == theirs.test.names


def test_missing_files_of_a_csv_are_in_the_report_too(tmp_path):
    root = draw_folder(tmp_path / "mine")
    rows = ["path,label,split", "train/normal/0.png,1,train", "gone.png,1,train", "also.png,-1,test"]
    (root / "list.csv").write_text("\n".join(rows))
    with pytest.raises(UsageError, match=r"line 3: there is no file 'gone\.png' in .*, nor that of line 4 'also\.png'"):
        load_split(DataConfig(name=str(root / "list.csv")))
    with pytest.raises(BadImages, match="2 files cannot be read as images"):
        beton_of(root / "list.csv", tmp_path / "m.beton")
    config = beton_of(root / "list.csv", tmp_path / "m.beton", skip_bad=True)
    assert len(load_split(config).training.images) == 1


def test_nothing_left_to_train_on_is_refused(tmp_path):
    root = draw_folder(tmp_path / "mine")
    for path in (root / "train").rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(UsageError, match="no training image that can be read"):
        beton_of(root, tmp_path / "m.beton", skip_bad=True)


# --- writing is atomic ---


def test_an_existing_file_is_replaced_only_with_overwrite(copied):
    before = copied.read_bytes()
    with pytest.raises(UsageError, match=r"already exists.*--overwrite"):
        beton_of("digits", copied, seed=3)
    assert copied.read_bytes() == before
    assert len(load_split(beton_of("digits", copied, seed=3, overwrite=True)).training.images) > 0
    assert copied.read_bytes() != before


def test_a_sidecar_that_a_killed_process_left_alone_is_replaced(copied):
    before = copied.read_bytes()
    copied.unlink()
    beton_of("digits", copied)
    assert copied.read_bytes() == before
    copied.unlink()
    sidecar_path(copied).write_text("mine")
    with pytest.raises(UsageError, match=r"d.*\.beton\.json already exists"):
        beton_of("digits", copied)


@pytest.mark.parametrize("failing", [0, 1])
def test_a_beton_never_has_the_sidecar_of_another(copied, monkeypatch, failing):
    real, calls = os.replace, []

    def replace(source, target):
        calls.append(target)
        if len(calls) > failing:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr("hscl_fast.atomic.os.replace", replace)
    with pytest.raises(UsageError, match="No space left on device"):
        beton_of("digits", copied, seed=3, overwrite=True)
    assert not copied.exists()


@pytest.mark.parametrize(
    ("out", "options", "match"),
    [
        ("d.bin", {}, r"must end in \.beton"),
        ("none/d.beton", {}, "there is no folder"),
        ("d.beton", {"quality": 0}, "--quality is 0"),
    ],
)
def test_options_that_are_refused(tmp_path, out, options, match):
    with pytest.raises(UsageError, match=match):
        beton_of("digits", tmp_path / out, **options)
    assert os.listdir(tmp_path) == []


def test_images_too_large_for_a_beton_are_refused_before_any_is_written(tmp_path):
    np.savez(tmp_path / "large.npz", images=np.zeros((2, 1025, 1025), np.uint8), y=np.array([0, 1]))
    with pytest.raises(UsageError, match=r"1025 x 1025 pixels, but .* 8 to 1024 pixels per side.*--data\.image_size"):
        beton_of(tmp_path / "large.npz", tmp_path / "l.beton")
    assert os.listdir(tmp_path) == ["large.npz"]
    assert load_split(beton_of(tmp_path / "large.npz", tmp_path / "l.beton", image_size=16)).training.roles.size


def test_a_full_disk_leaves_the_old_files(copied, monkeypatch):
    before = (copied.read_bytes(), sidecar_path(copied).read_bytes())

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hscl_fast.data.beton.writer.BetonWriter.finish", fail)
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        beton_of("digits", copied, overwrite=True)
    assert (copied.read_bytes(), sidecar_path(copied).read_bytes()) == before
    assert len(os.listdir(copied.parent)) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_preparation_leaves_no_files(tmp_path, monkeypatch, capsys, number, code):
    real, appended = BetonWriter.append, []

    def append(self, *sample):
        appended.append(sample)
        if len(appended) == 5:
            os.kill(os.getpid(), number)
        real(self, *sample)

    monkeypatch.setattr(BetonWriter, "append", append)
    assert prepare("digits", "--out", tmp_path / "d.beton") == code
    assert "d.beton was not written" in capsys.readouterr().out
    assert len(appended) == 5
    assert os.listdir(tmp_path) == []


# --- hostile files ---


def tables(content):
    """Views of the tables of a .beton in a bytearray."""
    header = np.frombuffer(content, HEADER, 1)
    count = int(header["num_samples"][0])
    samples = np.frombuffer(content, SAMPLE, count, SAMPLES_START)
    allocations = np.frombuffer(content, ALLOCATION, count, int(header["alloc_table_ptr"][0]))
    return header, samples, allocations


def far(samples, allocations, pointer):
    samples["f0"]["data_ptr"][-1] = pointer
    allocations["ptr"][-1] = pointer


HOSTILE = {
    "version": (lambda h, s, a: h.__setitem__("version", 3), "format version is 3"),
    "fields": (lambda h, s, a: h.__setitem__("num_fields", 60000), "60000 fields"),
    "samples": (lambda h, s, a: h.__setitem__("num_samples", 2**63), "9,223,372,036,854,775,808 images"),
    "fewer samples": (lambda h, s, a: h.__setitem__("num_samples", 5), "it has 5 images"),
    "page": (lambda h, s, a: h.__setitem__("page_size", 0), "page size is 0"),
    "table": (lambda h, s, a: h.__setitem__("alloc_table_ptr", 2**64 - 1), "table of allocations is not at its end"),
    "pointer": (lambda h, s, a: s["f0"]["data_ptr"].__setitem__(4, 2**63), "does not lie where"),
    "far": (lambda h, s, a: far(s, a, 2**63), "outside of the file's pages"),
    "wrapping": (lambda h, s, a: far(s, a, 2**64 - 4), "outside of the file's pages"),
    "at the end": (lambda h, s, a: far(s, a, 2 * PAGE - 1), "outside of the file's pages"),
    "at the start": (lambda h, s, a: far(s[:1], a[:1], 0), "outside of the file's pages"),
    "long": (lambda h, s, a: a["size"].__setitem__(9, 2**62), "outside of the file's pages"),
    "short": (lambda h, s, a: a["size"].__setitem__(9, 8), "not all of its images have 192 bytes"),
    "wide": (lambda h, s, a: s["f0"]["width"].__setitem__(7, 65535), "not all of its images have 8 x 8 pixels"),
    "mode": (lambda h, s, a: s["f0"]["mode"].__setitem__(7, 0), "not all of its images are raw"),
    "roles": (lambda h, s, a: s["f1"].__setitem__(0, -s["f1"][0] - 1), "roles and indices"),
    "order": (lambda h, s, a: a["sample_id"].__setitem__(0, 1), "out of order"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_though_their_checksum_fits(copied, name):
    change, match = HOSTILE[name]
    content = bytearray(copied.read_bytes())
    change(*tables(content))
    copied.write_bytes(content)
    sign(copied)
    refused(copied, match)


@pytest.mark.parametrize("length", [0, 10, 24, 3000, SAMPLES_START + 50, PAGE + 5])
def test_truncated_files_are_refused(copied, length):
    copied.write_bytes(copied.read_bytes()[:length])
    refused(copied, "its sidecar says")
    if length:
        sign(copied)
        refused(copied, "ends within its tables|not at its end")


@pytest.mark.parametrize("content", [b"\0" * 9_000_000, b"\xff" * 9_000_000, b"PK\x03\x04" * 3000])
def test_foreign_files_are_refused(copied, content):
    copied.write_bytes(content)
    sign(copied)
    refused(copied, "is not a valid .beton")


def test_fields_by_other_names_are_refused(copied):
    content = bytearray(copied.read_bytes())
    content[HEADER.itemsize + 1] = ord("x")
    copied.write_bytes(content)
    sign(copied)
    refused(copied, "fields are not image, role, index and part")


def test_bytes_that_are_not_a_jpeg_are_refused(tmp_path):
    root = draw_folder(tmp_path / "mine", size=64)
    path = tmp_path / "m.beton"
    beton_of(root, path, image_size=64)
    content = bytearray(path.read_bytes())
    _, _, allocations = tables(content)
    start = int(allocations["ptr"][5])
    content[start : start + 2] = b"xx"
    path.write_bytes(content)
    sign(path)
    refused(path, "image 5 is not a JPEG")


@pytest.mark.parametrize("hole", [b"\0", b"\xff\xd9"])
def test_a_jpeg_with_a_hole_is_refused(tmp_path, hole):
    path = tmp_path / "m.beton"
    beton_of(draw_folder(tmp_path / "mine", size=64), path, image_size=64)
    content = bytearray(path.read_bytes())
    _, _, allocations = tables(content)
    middle, length = int(allocations["ptr"][5] + allocations["size"][5] // 2), int(allocations["size"][5] // 4)
    content[middle : middle + length] = (hole + bytes(length))[:length]
    path.write_bytes(content)
    sign(path)
    refused(path, r"image 5 is not a whole JPEG \(it is damaged: ")


def deep(path):
    sidecar_path(path).write_text("[" * 100_000)


NOT_SIDECARS = {
    "missing": (lambda path: sidecar_path(path).unlink(), "there is no such file"),
    "a folder": (lambda path: (sidecar_path(path).unlink(), sidecar_path(path).mkdir()), "it is a folder"),
    "empty": (lambda path: sidecar_path(path).write_text(""), "it is not JSON"),
    "binary": (lambda path: sidecar_path(path).write_bytes(b"\xff\0"), "it is not JSON"),
    "a list": (lambda path: sidecar_path(path).write_text("[]"), "it is not a JSON object"),
    "deep": (deep, "it is not JSON"),
}


@pytest.mark.parametrize("name", NOT_SIDECARS)
def test_files_that_are_not_a_sidecar_are_refused(copied, name):
    change, match = NOT_SIDECARS[name]
    change(copied)
    refused(copied, f"is not a valid sidecar of a .beton: {match}")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.pop("train"), "the key train is missing"),
        (lambda m: m.update(more=1), "the key more is unknown"),
        (lambda m: m.update(version=True), "version is True, but should be a valid integer"),
        (lambda m: m.update(version=2), "version is 2, expected 1"),
        (lambda m: m.update(format="x"), "format is 'x'"),
        (lambda m: m.update(sha256="x" * 64), "sha256 is 'x.*x', but should match pattern"),
        (lambda m: m.update(bytes=-1), "bytes is -1"),
        (lambda m: m.update(image_size=10**9), "image_size is 1000000000"),
        (lambda m: m.update(encoding="pickle"), "encoding is 'pickle'"),
        (lambda m: m.update(class_names=[1]), r"class_names\.0 is 1, but should be a valid string"),
        (lambda m: m.update(class_names=[]), r"class_names is \[\], but should have at least 1 item"),
        (lambda m: m.update(class_names=["a", "a"]), "a name twice"),
        (lambda m: m.update(normal_class=99), "normal_class is 99"),
        (lambda m: m["train"].pop("role"), r"the key train\.role is missing"),
        (lambda m: m["train"].update(role="x"), r"train\.role is 'x', but should be a valid list"),
        (lambda m: m["train"]["role"].pop(), "the columns of train have different lengths"),
        (lambda m: m["train"]["name"].__setitem__(0, ["../x"]), r"train\.name\.0 is .*, but should be a valid string"),
        (lambda m: m["train"]["role"].__setitem__(0, 7), "the role of .* is 7"),
        (lambda m: m["train"]["label"].__setitem__(0, 10), "which is not a class"),
        (lambda m: m["test"]["label"].__setitem__(0, -1), "the label of test image"),
        (lambda m: m["train"]["label"].__setitem__(m["train"]["role"].index(1), 5), "has role 1 but is of class 5"),
        (lambda m: m.update(counts={"train": 1}), r"the key counts\.test is missing"),
        (lambda m: m["counts"].update(train=1), r"counts is {.*'train': 1}, but the columns have"),
        (lambda m: m["counts"].update(test=True), r"counts\.test is True"),
        (lambda m: m.update(skipped=["x"]), r"skipped\.0 is 'x', but should be a JSON object"),
    ],
)
def test_false_sidecars_are_refused(copied, change, match):
    change_sidecar(copied, change)
    refused(copied, match)


def test_another_size_is_refused_with_advice(copied):
    refused(copied, r"have 8 x 8 pixels.*hscl data prepare --image_size 16", image_size=16)


def test_a_folder_called_beton_is_a_folder(tmp_path):
    (tmp_path / "x.beton").mkdir()
    refused(tmp_path / "x.beton", "has no folder train/")
    os.mkfifo(tmp_path / "pipe.beton")
    refused(tmp_path / "pipe.beton", "neither a data set nor a folder")
