"""The named data sets, in files of their exact formats, whole and broken."""

import gzip
import os
import pickle
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named import lsun_imagenet_fix as fix
from hscl_fast.data.named.cifar import CSI_GROUPS, SUPERCLASSES_100
from hscl_fast.data.named.registry import DATA_SETS, describe_sources, load_source
from hscl_fast.data.named.safe_pickle import load_arrays
from hscl_fast.data.open import load_split
from hscl_fast.data.verify import verify_source
from hscl_fast.errors import UsageError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def load(name, root, **options):
    return load_source(DataConfig(name=name, root=str(root), **options))


def refused(name, root, match, **options):
    with pytest.raises(UsageError, match=match) as caught:
        load(name, root, **options)
    assert "\n" not in str(caught.value)


# --- pickles as Python 2 wrote them: byte strings, protocol 2, numpy.core ---


def python2_text(text):
    return b"U" + bytes([len(text)]) + text.encode()


def python2_array(array):
    rows, columns = array.shape
    shape = b"M" + struct.pack("<H", rows) + b"M" + struct.pack("<H", columns) + b"\x86"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
    raw = array.tobytes()
    return start + shape + dtype + b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"


def python2_pickle(data):
    body = b""
    for key, value in data.items():
        if isinstance(value, np.ndarray):
            dumped = python2_array(value)
        else:
            dumped = b"](" + b"".join(b"K" + bytes([number]) for number in value) + b"e"
        body += python2_text(key) + dumped
    return b"\x80\x02}(" + body + b"u."


PICKLERS = {
    "python 2": python2_pickle,
    "protocol 2": lambda data: pickle.dumps(data, 2),
    "protocol 4": lambda data: pickle.dumps(data, 4),
}


def pixel_rows(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)


def write_cifar10(root, write=python2_pickle, per_batch=20):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    rows, labels = [], []
    for number, name in enumerate(BATCHES):
        data, wanted = pixel_rows(per_batch, number), [(number + i) % 10 for i in range(per_batch)]
        (folder / name).write_bytes(write({"data": data, "labels": wanted}))
        rows.append(data)
        labels.append(wanted)
    return np.concatenate(rows), np.concatenate(labels)


def write_cifar100(root, count=200):
    folder = root / "cifar-100-python"
    folder.mkdir()
    fine = [i % 100 for i in range(count)]
    coarse = [(7 * i) % 20 for i in range(count)]
    for name in ("train", "test"):
        data = {"data": pixel_rows(count, len(name)), "coarse_labels": coarse, "fine_labels": fine}
        (folder / name).write_bytes(python2_pickle(data))
    return coarse, fine


def rewrite(root, name, **changes):
    """Change the content of one CIFAR-10 batch; a change to None deletes the key."""
    path = root / "cifar-10-batches-py" / name
    data = load_arrays(path.read_bytes()) | changes
    path.write_bytes(pickle.dumps({key: value for key, value in data.items() if value is not None}, 4))


@pytest.mark.parametrize("write", PICKLERS.values(), ids=PICKLERS)
def test_cifar10_python(tmp_path, write):
    rows, labels = write_cifar10(tmp_path, write)
    source = load("cifar10", tmp_path)
    np.testing.assert_array_equal(source.train.labels, labels[:100])
    np.testing.assert_array_equal(source.test.labels, labels[100:])
    assert source.train.images.shape == (100, 32, 32, 3)
    # Row major, red plane first: pixel (y, x) of channel c is number 1024 c + 32 y + x.
    for image, y, x, channel in ((0, 0, 0, 0), (57, 3, 31, 2), (99, 31, 2, 1)):
        assert source.train.images[image, y, x, channel] == rows[image, 1024 * channel + 32 * y + x]
    assert source.test.images[5, 8, 9, 1] == rows[105, 1024 + 32 * 8 + 9]
    assert source.train.names[17] == "train/17"
    assert source.class_names[0] == "airplane"


def test_cifar10_binary_equals_python(tmp_path):
    rows, labels = write_cifar10(tmp_path)
    python = load("cifar10", tmp_path)
    (tmp_path / "cifar-10-batches-py").rename(tmp_path / "away")
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    whole = np.concatenate([labels[:, None].astype(np.uint8), rows], axis=1)
    for name, part in zip(BATCHES, np.split(whole, 6), strict=True):
        part.tofile(folder / f"{name}.bin")
    binary = load("cifar10", tmp_path)
    for ours, theirs in ((binary.train, python.train), (binary.test, python.test)):
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
    (folder / "test_batch.bin").write_bytes(b"\0" * 3072)
    refused("cifar10", tmp_path, r"test_batch\.bin .*3072 bytes, expected a multiple of 3073")


def test_cifar100_superclasses(tmp_path):
    coarse, fine = write_cifar100(tmp_path)
    standard = load("cifar100", tmp_path)
    assert standard.train.labels.tolist() == coarse
    assert standard.train.fine_labels.tolist() == fine
    assert standard.class_names == SUPERCLASSES_100
    csi = load("cifar100", tmp_path, superclasses="csi")
    assert all(f in CSI_GROUPS[c] for f, c in zip(fine, csi.test.labels, strict=True))
    assert csi.train.fine_labels.tolist() == fine
    assert set(csi.class_names).isdisjoint(standard.class_names)


def test_cifar100_binary(tmp_path):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    for name in ("train", "test"):
        labels = np.array([[i % 20, i] for i in range(100)], np.uint8)
        np.concatenate([labels, pixel_rows(100, 0)], axis=1).tofile(folder / f"{name}.bin")
    source = load("cifar100", tmp_path)
    assert source.train.labels.tolist() == [i % 20 for i in range(100)]
    assert source.train.fine_labels.tolist() == list(range(100))


def test_both_lists_of_superclasses_are_complete():
    assert sorted(member for group in CSI_GROUPS for member in group) == list(range(100))
    assert len(CSI_GROUPS) == len(set(SUPERCLASSES_100)) == 20


class Runs:
    """A pickle that runs a command when it is read carelessly."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["alone", "value", "key"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol, place):
    write_cifar10(tmp_path)
    marker = tmp_path / "owned"
    attack = Runs(os.system, f"touch {marker}")
    content = {"alone": attack, "value": {"data": attack, "labels": []}, "key": {attack: 1}}[place]
    bad = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    bad.write_bytes(pickle.dumps(content, protocol))
    refused("cifar10", tmp_path, r"data_batch_3 is not a valid file of cifar10: it asks to run posix\.system")
    assert not marker.exists()
    pickle.loads(bad.read_bytes())
    assert marker.exists(), "the attack would not have worked, so the test shows nothing"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pickle.dumps(Runs(eval, "1"), 2), "builtin.*eval"),
        (pickle.dumps({"a": np.float64(1)}, 4), "scalar"),
        (pickle.dumps({"a": np.zeros(2)}, 4), "not uint8"),
        (pickle.dumps({"a": np.array([{}], object)}, 4), "not uint8"),
        (pickle.dumps([1, 2], 4), "holds a list"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zliutR.", "codec 'zliu'"),
        (b"cnumpy\nndarray\n(tR.", "_Marker"),
        (b"", "damaged"),
        (b"\x80\x02}(U\x04data", "damaged"),
        (b"\x80\x02}(]K\x01u.", "damaged"),
    ],
)
def test_pickles_of_anything_else_are_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        load_arrays(data)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": None}, "'data' is nothing"),
        ({"data": np.zeros((20, 100), np.uint8)}, r"'data' is \[20, 100\]"),
        ({"data": np.zeros(20, np.uint8)}, r"'data' is \[20\]"),
        ({"labels": None}, "'labels' is not a list"),
        ({"labels": ["cat"] * 20}, "'labels' is not a list"),
        ({"labels": [1] * 19}, "20 images but 19 'labels'"),
        ({"labels": [1] * 19 + [10]}, "'labels' reach 10, expected 0 to 9"),
        ({"labels": [1] * 19 + [-1]}, "out of range"),
        ({"labels": [1] * 19 + [2**80]}, "out of range"),
    ],
)
def test_corrupt_cifar(tmp_path, changes, reason):
    write_cifar10(tmp_path)
    rewrite(tmp_path, "data_batch_2", **changes)
    refused("cifar10", tmp_path, rf"data_batch_2 is not a valid file of cifar10: .*{reason}")


def test_truncated_cifar(tmp_path):
    write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_4"
    path.write_bytes(path.read_bytes()[:-500])
    refused("cifar10", tmp_path, r"data_batch_4 is not a valid file .* damaged")


def test_a_missing_batch_is_named(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_5").unlink()
    refused("cifar10", tmp_path, rf"no file {tmp_path}/cifar-10-batches-py/data_batch_5\. It comes from")


# --- SVHN ---


def write_svhn(root, **changes):
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 20), np.uint8)
    content = {"X": images, "y": np.arange(20, dtype=np.uint8)[:, None] % 10 + 1} | changes
    for part in ("train", "test"):
        savemat(root / f"{part}_32x32.mat", {key: value for key, value in content.items() if value is not None})
    return images


def test_svhn(tmp_path):
    images = write_svhn(tmp_path)
    source = load("svhn", tmp_path)
    assert source.train.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2
    np.testing.assert_array_equal(source.test.images[13], images[..., 13])
    assert source.class_names == tuple("0123456789")
    (tmp_path / "svhn").mkdir()
    for part in ("train", "test"):
        (tmp_path / f"{part}_32x32.mat").rename(tmp_path / "svhn" / f"{part}_32x32.mat")
    assert len(load("svhn", tmp_path).train.labels) == 20


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"X": None}, "X is not a uint8 array"),
        ({"X": np.zeros((32, 32, 3, 20))}, "X is not a uint8 array"),
        ({"X": np.zeros((28, 28, 3, 20), np.uint8)}, "X is not a uint8 array"),
        ({"y": None}, "y does not hold one number for each of 20"),
        ({"y": np.ones((19, 1))}, "y does not hold one number for each of 20"),
        ({"y": np.full((20, 1), 11)}, "labels other than"),
        ({"y": np.full((20, 1), 1.5)}, "labels other than"),
    ],
)
def test_corrupt_svhn(tmp_path, changes, reason):
    write_svhn(tmp_path, **changes)
    refused("svhn", tmp_path, rf"train_32x32\.mat is not a valid file of svhn: .*{reason}")


def test_damaged_mat_files(tmp_path):
    write_svhn(tmp_path)
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:1000])
    refused("svhn", tmp_path, r"test_32x32\.mat is not a valid file of svhn: it cannot be read")


# --- IDX ---

IDX_FILES = {
    "train-images-idx3-ubyte": (12, 28, 28),
    "train-labels-idx1-ubyte": (12,),
    "t10k-images-idx3-ubyte": (6, 28, 28),
    "t10k-labels-idx1-ubyte": (6,),
}


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder, end=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    rng, arrays = np.random.default_rng(0), {}
    for name, shape in IDX_FILES.items():
        arrays[name] = rng.integers(0, 256 if len(shape) == 3 else 10, shape, np.uint8)
        data = idx_bytes(arrays[name])
        (folder / (name + end)).write_bytes(gzip.compress(data) if end else data)
    return arrays


@pytest.mark.parametrize("end", [".gz", ""])
@pytest.mark.parametrize("inner", ["", "FashionMNIST/raw"])
def test_fashion_mnist_layouts(tmp_path, end, inner):
    arrays = write_idx(tmp_path / inner, end)
    source = load("fashion_mnist", tmp_path)
    for channel in range(3):
        np.testing.assert_array_equal(source.train.images[..., channel], arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.test.labels, arrays["t10k-labels-idx1-ubyte"])


IMAGES = np.zeros((12, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(idx_bytes(IMAGES))[:-20], "it cannot be read"),
        (b"no gzip at all", "it cannot be read"),
        (gzip.compress(b""), "begins with nothing"),
        (gzip.compress(b"\0\0\x0d\x03" + idx_bytes(IMAGES)[4:]), "begins with 00000d03"),
        (gzip.compress(idx_bytes(IMAGES.reshape(12, 784))), "begins with 00000802, an IDX file with 00000803"),
        (gzip.compress(idx_bytes(IMAGES)[:9]), "header has 9 bytes, expected 16"),
        (gzip.compress(idx_bytes(IMAGES)[:-1]), "promises 9408 bytes .* has 9407"),
        (gzip.compress(idx_bytes(IMAGES) + b"\0"), "promises 9408 bytes .* has more"),
        (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "asks for the shape"),
        (gzip.compress(idx_bytes(IMAGES[:11])), "11 images but .* 12 labels"),
    ],
    ids=range(10),  # by default pytest names tests by the bytes, which hold the time of compression
)
def test_corrupt_idx(tmp_path, data, reason):
    write_idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(data)
    refused("fashion_mnist", tmp_path, rf"train-images-idx3-ubyte\.gz is not a valid file .*{reason}")


def test_idx_label_out_of_range(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.full(6, 10, np.uint8))))
    refused("fashion_mnist", tmp_path, "t10k-labels.* has the label 10, expected 0 to 9")


@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason=f"no {FASHION_MNIST} (apt-get install dataset-fashion-mnist)")
def test_real_fashion_mnist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # so that ./data is empty and the Debian folder is found without a root
    found = verify_source(DataConfig(name="fashion_mnist"))
    assert found.train_shape == (60000, 28, 28, 3)
    assert set(found.train_counts.values()) == {6000}
    assert set(found.test_counts.values()) == {1000}
    assert found.train_counts.keys() == found.test_counts.keys()
    first = load_source(DataConfig(name="fashion_mnist", root=str(FASHION_MNIST)))
    assert first.train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert first.class_names[9] == "ankle boot"


# --- LSUN (fix), ImageNet (fix) ---


def write_lsun(folder, total):
    folder.mkdir(parents=True)
    for number in range(total):
        Image.new("RGB", (32, 32), (number % 256, number // 256, 7)).save(folder / f"correct_resize_{number}.png")


@pytest.mark.parametrize("inner", ["", "lsun_fix"])
def test_lsun_in_small(tmp_path, monkeypatch, inner):
    monkeypatch.setattr(fix, "PER_CLASS", 10)
    monkeypatch.setattr(fix, "TRAIN_PER_CLASS", 8)
    root = tmp_path / "root"
    write_lsun(root / inner, 100)
    source = load("lsun_fix", root)
    numbers = source.train.images[:, 0, 0, 0]
    assert numbers.tolist() == [i for i in range(100) if i % 10 < 8]
    np.testing.assert_array_equal(source.train.labels, numbers // 10)
    assert source.test.images[:, 0, 0, 0].tolist() == [i for i in range(100) if i % 10 >= 8]
    assert source.test.names[0] == "correct_resize_8.png"
    (root / inner / "correct_resize_42.png").unlink()
    refused("lsun_fix", root, r"lacks 1 of 100 files, the first one correct_resize_42\.png")
    (root / inner / "correct_resize_42.png").write_text("no image")
    refused("lsun_fix", root, r"correct_resize_42\.png cannot be read as an image")


def test_lsun_in_full_size(tmp_path):
    write_lsun(tmp_path / "lsun_fix", 10_000)
    found = verify_source(DataConfig(name="lsun_fix", root=str(tmp_path)))
    assert set(found.train_counts.values()) == {800}
    assert set(found.test_counts.values()) == {200}


def test_imagenet_is_a_source_of_anomalies_only(tmp_path):
    (tmp_path / "imagenet_fix").mkdir()
    for number in range(3):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / "imagenet_fix" / f"{number}.png")
    source = load("imagenet_fix", tmp_path)
    assert source.train.images[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert source.test.images.shape == (0, 32, 32, 3)
    with pytest.raises(UsageError, match=r"source of anomalies for cross-data-set runs and has no classes"):
        load_split(DataConfig(name="imagenet_fix", root=str(tmp_path)))


def write_imagenet(root, count):
    (root / "imagenet_fix").mkdir()
    for number in range(count):
        Image.new("RGB", (32, 32), (number, 1, 2)).save(root / "imagenet_fix" / f"{number:03}.png")


def test_cifar10_against_imagenet_and_what_else_is_there(tmp_path):
    write_cifar10(tmp_path)
    write_imagenet(tmp_path, 10)
    source = load("cifar10_imagenet", tmp_path)
    assert source.class_names == ("cifar10", "imagenet_fix")
    assert np.bincount(source.train.labels).tolist() == [100, 8]
    assert np.bincount(source.test.labels).tolist() == [20, 2]
    assert source.train.images[100:, 0, 0, 0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert source.test.images[20:, 0, 0, 0].tolist() == [4, 9]  # none of those that train
    np.testing.assert_array_equal(source.test.images[:20], load("cifar10", tmp_path).test.images)
    write_cifar100(tmp_path)
    write_svhn(tmp_path)
    more = load("cifar10_imagenet", tmp_path)
    assert more.class_names == ("cifar10", "imagenet_fix", "cifar100", "svhn")
    np.testing.assert_array_equal(more.train.images, source.train.images)
    np.testing.assert_array_equal(more.test.images[more.test.labels == 3], load("svhn", tmp_path).test.images)
    split = load_split(DataConfig("cifar10_imagenet", str(tmp_path), protocol="labelled", held_out_ratio=0.0))
    counts = split.counts
    assert (counts.labelled_normal, counts.unlabelled, counts.labelled_abnormal) == (100, 0, 8)


def test_the_overlapping_split_tests_the_anomalies_that_it_trains_on(tmp_path):
    write_cifar10(tmp_path)
    write_imagenet(tmp_path, 10)
    source = load("cifar10_imagenet_overlap", tmp_path)
    np.testing.assert_array_equal(source.train.images[100:], source.test.images[20:])
    assert len(source.test.images[20:]) == 10


def test_imagenet_takes_no_stray_images_of_the_default_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_lsun(tmp_path / "data", 2)
    with pytest.raises(UsageError, match=r"imagenet_fix is missing: no file data/imagenet_fix/\*\.png"):
        load_source(DataConfig(name="imagenet_fix"))


# --- digits, and what all have in common ---


def test_digits_by_an_independent_count():
    from sklearn.datasets import load_digits

    digits, source = load_digits(), load("digits", "unused")
    seen, total, trains = Counter(), Counter(digits.target.tolist()), []
    for label in digits.target.tolist():
        trains.append(seen[label] < total[label] * 2 // 3)
        seen[label] += 1
    trains = np.array(trains)
    np.testing.assert_array_equal(source.train.labels, digits.target[trains])
    np.testing.assert_array_equal(source.test.images[..., 1], np.rint(digits.images[~trains] * 255 / 16))
    assert source.train.images.max() == 255


MISSING = {
    "fashion_mnist": (
        "train-images-idx3-ubyte.gz",
        "github.com/zalandoresearch",
        "apt-get install dataset-fashion-mnist",
    ),
    "cifar10": ("cifar-10-batches-py/data_batch_1", "www.cs.toronto.edu/~kriz", "torchvision.datasets.CIFAR10('{}', d"),
    "cifar100": ("cifar-100-python/train", "www.cs.toronto.edu/~kriz", "torchvision.datasets.CIFAR100('{}', d"),
    "svhn": ("train_32x32.mat", "ufldl.stanford.edu", "torchvision.datasets.SVHN('{}', split="),
    "lsun_fix": ("lsun_fix/correct_resize_0.png", "github.com/alinlab/CSI", "unpack it so that {}/lsun_fix/"),
    "imagenet_fix": ("imagenet_fix/*.png", "github.com/alinlab/CSI", "into {}/imagenet_fix"),
    "cifar10_imagenet": ("cifar-10-batches-py/data_batch_1", "cifar10 and imagenet_fix", "of these data sets into {}"),
    "cifar10_imagenet_overlap": ("cifar-10-batches-py/data_batch_1", "cifar10 and imagenet_fix", "data sets into {}"),
}


def test_every_data_set_with_files_is_tested_without_them():
    assert {*MISSING, "digits"} == set(DATA_SETS)


@pytest.mark.parametrize("name", MISSING)
def test_missing_data_is_reported_with_its_page_and_how_to_get_it(tmp_path, name):
    file, url, how_to_get = MISSING[name]
    with pytest.raises(UsageError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    for part in (str(tmp_path / file), url, how_to_get.format(tmp_path), "--data.root"):
        assert part in message
    assert "\n" not in message


def test_an_unknown_name_lists_the_known_ones():
    for call in (load_source, load_split, verify_source):
        with pytest.raises(UsageError, match=r"'mnist', which is .*digits, fashion_mnist, cifar10"):
            call(DataConfig(name="mnist"))


def test_describe_sources_says_which_data_is_present(tmp_path):
    write_cifar10(tmp_path)
    write_cifar100(tmp_path)
    (tmp_path / "cifar-100-python" / "test").unlink()
    rows = {row.name: row for row in describe_sources(str(tmp_path))}
    assert [row.name for row in rows.values() if row.present] == ["digits", "cifar10"]
    assert str(tmp_path / "cifar-100-python" / "train") in rows["cifar100"].looked_for
    assert (rows["cifar100"].classes, rows["cifar100"].train) == (20, 50000)


def test_verify_digits():
    found = verify_source(DataConfig())
    assert found.train_shape == (1195, 8, 8, 3)
    assert sum(found.test_counts.values()) == found.test_shape[0] == 602
    assert found == verify_source(DataConfig())


def test_verify_refuses_an_incomplete_copy(tmp_path):
    write_cifar10(tmp_path)
    with pytest.raises(UsageError, match=r"100 training and 20 test images, but .* 50000 and 10000"):
        verify_source(DataConfig(name="cifar10", root=str(tmp_path)))


def test_a_split_of_tiny_cifar100_by_fine_class(tmp_path):
    write_cifar100(tmp_path)
    options = {"protocol": "released", "superclasses": "csi", "pollution_ratio": 0.5, "labelled_ratio": 0.2}
    split = load_split(DataConfig(name="cifar100", root=str(tmp_path), held_out_ratio=0.0, **options))
    # 10 normals in 5 of 100 classes: round(10 * 1 / 95) = 0 of each other class.
    assert split.counts.unlabelled == 8
    assert split.counts.labelled_normal == 2
