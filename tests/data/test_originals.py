"""The files that images were made of, as people look at them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.originals import Originals, originals_of
from hscl_fast.data.types import Decoding

DECODING = Decoding(32)


def test_they_keep_their_shape_and_are_shrunk_but_not_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (640, 320), "red").save(tmp_path / "wide.png")
    Image.new("L", (3, 9), 7).save(tmp_path / "small.png")
    originals = Originals(tmp_path, DECODING)
    assert originals.load("wide.png", 256).shape == (128, 256, 3)
    small = originals.load("small.png", 256)
    assert small.shape == (9, 3, 3)
    assert np.unique(small).tolist() == [7]


def test_the_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert Originals(tmp_path, DECODING).load("a.jpg", 64).shape == (40, 20, 3)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadImages, match=r"gone\.png"):
        Originals(tmp_path, DECODING).load("gone.png", 64)


def test_arrays_have_none(tmp_path: Path) -> None:
    config = DataConfig(name=str(tmp_path))
    assert originals_of(config, "npz", None) is None
    assert originals_of(config, "beton", DECODING) is None
    found = originals_of(config, "folder", DECODING)
    assert found is not None
    assert found.path("a/b.png") == tmp_path / "a/b.png"
    listed = originals_of(DataConfig(name=str(tmp_path / "list.csv")), "csv", DECODING)
    assert listed is not None
    assert listed.folder == tmp_path
