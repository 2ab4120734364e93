"""NPZ and CSV files that are something else, or almost right: the error says what they are and how to fix them."""

import gzip
import zipfile

import numpy as np
import pytest

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.kinds import kind_of, open_user_images
from hscl_fast.errors import UsageError

IMAGES = np.arange(5 * 8 * 8, dtype=np.uint8).reshape(5, 8, 8)
Y = np.array([1, 0, 0, 0, -1])
LIST = "path,label,split\n0.png,1,train\n1.png,0,train\n"


def error_of(path):
    config = DataConfig(name=str(path))
    with pytest.raises(UsageError) as raised:
        open_user_images(config, kind_of(config))
    assert str(path) in str(raised.value)
    return str(raised.value)


def write(path, kind):
    """Write a file of another kind than ``.npz``."""
    if kind == "array":
        with path.open("wb") as file:
            np.save(file, IMAGES)
        return
    np.savez(path, images=IMAGES, y=Y)
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "flipped":
        content = bytearray(path.read_bytes())
        content[300] ^= 255
        path.write_bytes(content)
    elif kind in ("text", "empty"):
        path.write_text("hello" if kind == "text" else "")
    elif kind in ("other", "bytes"):
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("a.txt",) if kind == "other" else ("images.npy", "y.npy"):
                archive.writestr(name, "hello")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("array", "it is a single array that numpy.save wrote, not an archive that numpy.savez wrote"),
        ("gzip", "it is a gzip file, not an archive"),
        ("cut", "it is an archive that was cut short"),
        ("flipped", "it is damaged (Bad CRC-32 for file 'images.npy')"),
        ("text", "it is text, not an archive"),
        ("empty", "it is an empty file, not an archive"),
        ("other", "has no array images and no y; it has a.txt."),
        ("bytes", "images in it is not an array"),
    ],
)
def test_another_file_called_npz(tmp_path, kind, said):
    write(tmp_path / "data.npz", kind)
    error = error_of(tmp_path / "data.npz")
    assert said in error
    assert "Expected images uint8" in error
    assert "pickle" not in error


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"X": IMAGES, "labels": Y}, "has no array images and no y; it has X, labels."),
        ({"images": IMAGES / 255, "y": Y}, "Convert it with (255 * images).round().astype('uint8')."),
        ({"images": np.stack([IMAGES] * 3, 1), "y": Y}, "Move the channels to the end with images.transpose"),
        ({"images": IMAGES, "y": np.array(["normal"] * 5)}, "(first value 'normal'), not numbers"),
        ({"images": IMAGES, "y": Y.astype(object)}, "its array y holds Python objects, not numbers"),
        ({"images": IMAGES[:1], "y": Y}, "images has 1 image, y 5 labels"),
    ],
)
def test_arrays_that_are_almost_right(tmp_path, arrays, said):
    np.savez(tmp_path / "data.npz", **arrays)
    assert said in error_of(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LIST.encode("utf-16"), "is text in UTF-16, not a CSV file in UTF-8."),
        (LIST.encode("utf-16-le"), "is text in UTF-16, not a CSV file in UTF-8."),
        (LIST.encode("utf-16-be"), "is text in UTF-16, not a CSV file in UTF-8."),
        (b"", "is an empty file"),
        (b"PK\3\4 and more", "is a zip archive or an Excel workbook"),
        (LIST.replace("0", "é").encode("latin-1"), "line 2: the text is not UTF-8"),
        (b"sep=;\n" + LIST.replace(",", ";").encode(), "line 1: 'sep=;' is a line for Excel only"),
        (b"0.png,1,train\n", "'0.png,1,train' is not a header"),
        (LIST.replace("path", "file").encode(), "give one column path, with commas, semicolons or tabs"),
        (b"path,label,split\n0.png;1;train\n", "it has 1 field, the header 3"),
        (b"path,label,split\nC:\\data\\0.png,1,train\n", "a path of Windows must be made relative to that folder"),
        (b"path,label,split\n\xff\xfe.png,1,train\n", "line 2: the text is not UTF-8"),
    ],
)
def test_lists_that_are_almost_right(tmp_path, content, said):
    (tmp_path / "list.csv").write_bytes(content)
    assert said in error_of(tmp_path / "list.csv")


def test_the_working_directory_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("path,label,split\n/etc/passwd,1,train\n")
    with pytest.raises(UsageError, match="does not lead to a file inside the working directory"):
        open_user_images(DataConfig(name="list.csv"), "csv")
