"""The warning of images that are made much smaller: from a few headers, and with a size to try."""

import numpy as np
import pytest
from PIL import Image

from hscl_fast.data import shrinking
from hscl_fast.data.decode import lazy_files
from hscl_fast.data.shrinking import remark_on_shrinking
from hscl_fast.data.types import Decoding


@pytest.mark.parametrize(
    ("longer", "size", "said"),
    [
        (128, 32, None),
        (129, 32, "4.03-fold to 32 px: small defects vanish; try --data.image_size 64"),
        (1024, 32, "32-fold to 32 px: small defects vanish; try --data.image_size 128"),
        (2000, 128, "15.6-fold to 128 px: small defects vanish; try --data.image_size 512"),
        (5000, 1024, "4.88-fold to 1024 px: small defects vanish"),
    ],
)
def test_the_size_to_try(longer, size, said):
    remarks = remark_on_shrinking(np.zeros((1, 8, longer, 3), np.uint8), size)
    if said is None:
        assert remarks == ()
    else:
        (remark,) = remarks
        assert remark.doubt
        assert remark.text == f"images of {longer}x8 px (the median) are shrunk {said}"


def test_the_median_of_sixty_four_headers_decides(tmp_path, monkeypatch):
    paths = []
    for number in range(200):
        paths.append(tmp_path / f"{number:03}.png")
        if number % 4 == 0:
            paths[-1].write_text("not an image")
        else:
            Image.new("L", (200, 40) if number % 4 < 3 else (8, 8)).save(paths[-1])
    read = []
    size = shrinking.read_size
    monkeypatch.setattr(shrinking, "read_size", lambda path: read.append(path) or size(path))
    (remark,) = remark_on_shrinking(lazy_files(paths, Decoding(16)), 16)
    assert "images of 200x40 px (the median) are shrunk 12.5-fold to 16 px" in remark.text
    assert len(read) == 64
    assert {paths[0], paths[-1]} < set(read)
    assert remark_on_shrinking(lazy_files(paths[:1], Decoding(16)), 16) == ()
