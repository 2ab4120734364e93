"""Files that Pillow would decode in part: found, and whole ones left as they are."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hscl_fast.data.decode import load_images
from hscl_fast.data.types import Decoding
from hscl_fast.errors import UsageError

END = b"\xff\xd9"
JPEGS = {
    "plain": {},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
    "restarts": {"restart_marker_blocks": 16},
    "full": {"subsampling": 0},
}


def noise(side=96):
    steps = np.arange(side, dtype=np.uint8)
    smooth = np.stack([np.tile(steps, (side, 1)), np.tile(steps[:, None], (1, side))], -1)
    pixels = np.random.default_rng(0).integers(0, 120, (side, side, 3), np.uint8)
    pixels[..., :2] += smooth
    return Image.fromarray(pixels)


def encoded(kind, mode="RGB", **options):
    file = io.BytesIO()
    noise().convert(mode).save(file, kind, **options)
    return file.getvalue()


def load(folder, data):
    (folder / "a.png").write_bytes(data)
    return load_images([folder / "a.png"], Decoding(96))[0]


def refused(folder, data, reason):
    with pytest.raises(UsageError, match=rf"a\.png cannot be read as an image: .*{reason}") as caught:
        load(folder, data)
    assert "\n" not in str(caught.value)


def with_hole(data, fill):
    """The data with a third of the file overwritten, from its middle on."""
    middle, length = len(data) // 2, len(data) // 3
    return data[:middle] + (fill + bytes(length))[:length] + data[middle + length :]


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_jpegs_that_are_not_whole(tmp_path, options):
    data = encoded("JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(load(tmp_path, data), expected)
    for damaged in (
        with_hole(data, b"\0"),
        with_hole(data, END),
        data[: len(data) // 2] + END,  # Pillow finds no fault with this
        data[: len(data) // 2] + data[-len(data) // 4 :],
    ):
        refused(tmp_path, damaged, "it is damaged: Corrupt JPEG data")
    refused(tmp_path, data[: len(data) // 2], "Premature end")
    refused(tmp_path, data[:-2], "Premature end")


def test_a_jpeg_with_a_wrong_restart_marker(tmp_path):
    data = bytearray(encoded("JPEG", restart_marker_blocks=4))
    place = data.index(b"\xff\xd2")
    data[place + 1] = 0xD5
    refused(tmp_path, bytes(data), "it is damaged: Corrupt JPEG data: .*marker")


def test_what_cameras_write_around_a_jpeg_is_no_damage(tmp_path):
    data = encoded("JPEG")
    expected = load(tmp_path, data)
    for harmless in (data + b"more", data[:-2] + bytes(32) + END, data[:-2] + b"\xff" * 32 + END):
        np.testing.assert_array_equal(load(tmp_path, harmless), expected)
    refused(tmp_path, data[:-2] + bytes(5000) + END, "extraneous bytes")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


END_CHUNK = chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda head, pixels: head + chunk(b"IDAT", pixels)[:-4] + b"abcd" + END_CHUNK, "checksum of a chunk"),
        (lambda head, pixels: head + chunk(b"IDAT", pixels), "ends before the chunk IEND"),
        (lambda head, pixels: head + chunk(b"IDAT", pixels) + END_CHUNK[:-6], "ends before the chunk IEND"),
        (lambda head, pixels: head + chunk(b"IDAT", pixels) + b"\0\0\1\0iTXt" + b"abc", "ends within a chunk"),
        (lambda head, pixels: head + chunk(b"IDAT", pixels[: len(pixels) // 2]) + END_CHUNK, "truncated"),
    ],
)
def test_pngs_that_are_not_whole(tmp_path, change, reason):
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 96, 8, 2, 0, 0, 0))
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(noise())))
    whole = head + chunk(b"IDAT", pixels) + END_CHUNK
    np.testing.assert_array_equal(load(tmp_path, whole + b"more"), np.asarray(noise()))
    refused(tmp_path, change(head, pixels), reason)


@pytest.mark.parametrize("compression", ["jpeg", "tiff_adobe_deflate"])
def test_tiffs_with_damaged_strips(tmp_path, compression):
    data = encoded("TIFF", compression=compression)
    load(tmp_path, data)
    with Image.open(io.BytesIO(data)) as image:
        offsets, counts = image.tag_v2[273], image.tag_v2[279]
    middle, end = offsets[-1] + counts[-1] // 2, offsets[-1] + counts[-1]
    if compression == "jpeg":
        early = data[:middle] + END + bytes(end - middle - 2) + data[end:]
        refused(tmp_path, early, "it is damaged: Corrupt JPEG data")
        return
    swapped = bytearray(data)
    swapped[end - 1] ^= 1  # the last byte of zlib's checksum
    refused(tmp_path, bytes(swapped), "it is damaged: the checksum of a strip")


def test_a_tiff_whose_strips_lie_outside_of_it(tmp_path):
    data = bytearray(encoded("TIFF", compression="packbits"))
    place = data.index(struct.pack("<HH", 279, 4))  # StripByteCounts, one 32-bit number
    count = struct.unpack_from("<I", data, place + 4)[0]
    at = place + 8 if count == 1 else struct.unpack_from("<I", data, place + 8)[0]
    data[at : at + 4] = struct.pack("<I", len(data))
    refused(tmp_path, bytes(data), "it ends within its strips or tiles")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate", "zstd", "lzma"])
def test_whole_tiffs_are_read(tmp_path, compression):
    data = encoded("TIFF", compression=compression)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(load(tmp_path, data), expected)


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "PPM", "TIFF"])
def test_files_of_other_formats_that_end_early(tmp_path, kind):
    data = encoded(kind)
    load(tmp_path, data)
    for length in (len(data) // 2, len(data) - 200):
        with pytest.raises(UsageError, match=r"a\.png cannot be read as an image"):
            load(tmp_path, data[:length])
