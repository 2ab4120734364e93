"""Image files from any source: every mode, and every way to be broken."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hscl_fast.data.decode import load_images, resize_images
from hscl_fast.data.types import Decoding
from hscl_fast.errors import UsageError

DECODING = Decoding(8, bit_depth=16, float_white=255.0)


def one(path, decoding=DECODING):
    images, size = load_images([path], decoding), decoding.size
    assert images.shape == (1, size, size, 3)
    assert images.dtype == np.uint8
    return images[0]


def flat(path, decoding=DECODING):
    """The colour of an image of a single colour."""
    image = one(path, decoding)
    assert (image == image[0, 0]).all()
    return tuple(image[0, 0].tolist())


def save(path, mode, colour, **options):
    Image.new(mode, (8, 8), colour).save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 90, (90, 90, 90)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (40, 255), (40, 40, 40)),
        ("LA", (40, 0), (255, 255, 255)),
    ],
)
def test_modes_of_png(tmp_path, mode, colour, expected):
    assert flat(save(tmp_path / "a.png", mode, colour)) == expected


def test_palette_with_and_without_transparency(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert flat(tmp_path / "opaque.png") == (200, 100, 50)
    assert flat(tmp_path / "clear.png") == (255, 255, 255)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (32896, 128), (65535, 255)])
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, value, expected, extension):
    path = tmp_path / f"a.{extension}"
    Image.fromarray(np.full((8, 8), value, np.uint16)).save(path)
    assert flat(path) == (expected,) * 3


def test_big_endian_sixteen_bits(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 8 8 65535\n" + struct.pack(">H", 32896) * 64)
    assert flat(path) == (128, 128, 128)


@pytest.mark.parametrize(
    ("value", "white", "expected"), [(0.5, 1, 128), (1.0, 1, 255), (100.0, 255, 100), (0.6, 255, 1), (2000, 4000, 128)]
)
def test_floats(tmp_path, value, white, expected):
    assert flat(save(tmp_path / "a.tif", "F", value), Decoding(8, float_white=white)) == (expected,) * 3


@pytest.mark.parametrize(("mode", "value"), [("F", float("nan")), ("F", 300.0), ("F", -1.0), ("I", 70000), ("I", -1)])
def test_values_without_a_scale_are_refused(tmp_path, mode, value):
    with pytest.raises(UsageError, match=r"a\.tif cannot be read as an image: its values span"):
        one(save(tmp_path / "a.tif", mode, value))


def test_cmyk(tmp_path):
    red, green, blue = flat(save(tmp_path / "a.jpg", "CMYK", (0, 255, 255, 0), quality=100))
    assert red > 245
    assert max(green, blue) < 10


def test_exif_orientation_is_applied(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255  # a white top row
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(one(tmp_path / "a.png"), np.rot90(pixels, -1))


def test_the_whole_image_is_kept_and_antialiased(tmp_path):
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    assert np.abs(one(tmp_path / "stripes.png").astype(int) - 127.5).max() < 20
    halves = np.zeros((64, 128, 3), np.uint8)
    halves[:, 64:] = 255
    Image.fromarray(halves).save(tmp_path / "halves.png")
    image = one(tmp_path / "halves.png")
    assert (image[:, :2] == 0).all()
    assert (image[:, -2:] == 255).all()


def test_resize_images_does_as_load_images_does(tmp_path, rng):
    pixels = rng.integers(0, 256, (3, 20, 30, 3), np.uint8)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    np.testing.assert_array_equal(resize_images(pixels, 12), load_images(paths, Decoding(12)))
    assert resize_images(pixels[:0], 12).shape == (0, 12, 12, 3)
    square = pixels[:, :20, :20]
    assert resize_images(square, 20) is square


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width, height):
    """A PNG of a few bytes that asks for a huge picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data


def broken(folder, what):
    path = folder / f"{what}.png"
    whole = save(folder / "whole.png", "RGB", (1, 2, 3))
    if what == "truncated":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(whole)
        path.write_bytes(whole.read_bytes()[:4000])
    elif what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what != "missing":
        path.write_bytes({"text": b"hello", "empty": b"", "wide": bomb(9000, 9000), "wider": bomb(60000, 60000)}[what])
    return path


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("truncated", "truncated"),
        ("text", "not an image of a known format"),
        ("empty", "the file is empty"),
        ("wide", "9000 x 9000 pixels"),
        ("wider", "60000 x 60000 pixels, more than the 67 million of max_megapixels"),
        ("missing", "there is no such file"),
        ("folder", "it is a folder"),
        ("fifo", "it is not a regular file"),
    ],
)
def test_broken_files_are_named_with_the_reason(tmp_path, what, reason):
    path = broken(tmp_path, what)
    with pytest.raises(UsageError, match=rf"{what}\.png cannot be read as an image: .*{reason}") as caught:
        load_images([tmp_path / "whole.png", path], DECODING)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_too_long_is_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        one(tmp_path / ("x" * 5000 + ".png"))


def test_formats_that_start_other_programs_are_not_opened(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(UsageError, match="known format"):
        one(tmp_path / "a.png")


def test_no_images_are_an_empty_stack():
    assert load_images([], DECODING).shape == (0, 8, 8, 3)
