"""Hostile image files: every format cut short and lying, unusual modes, bombs, and things that are no images."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

from hostile.build import copy, draw_photos, fifo, picture, sparse
from hostile.case import ACCEPTED, PARTLY, REFUSED, Case

FORMATS = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "gif": "GIF", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM"}


def encoded(format, image=None, **options):
    """The bytes of an image."""
    file = io.BytesIO()
    (image or picture()).save(file, format, **options)
    return file.getvalue()


def chunk(name, data):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width=4, height=4, depth=8, colour=2, chunks=b"", body=None):
    """A PNG file with a header of any content."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = zlib.compress(bytes(4 * (1 + 4 * 3))) if body is None else body
    return b"\x89PNG\r\n\x1a\n" + header + chunks + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff_directory(entries, following=0):
    """A TIFF file that has nothing but a directory of tags (number, type, count, value)."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def lying_sizes():
    """Files whose headers promise images of 60,000 x 60,000 pixels."""
    wide = struct.pack("<ii", 60000, 60000)
    gif, bmp, jpeg = bytearray(encoded("GIF")), bytearray(encoded("BMP")), bytearray(encoded("JPEG"))
    gif[6:10] = struct.pack("<HH", 60000, 60000)
    bmp[18:26] = wide
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    tags = [(256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    strips = [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 60000), (279, 4, 1, 100)]
    return {
        "png": png(60000, 60000),
        "gif": bytes(gif),
        "bmp": bytes(bmp),
        "jpg": bytes(jpeg),
        "tif": tiff_directory(tags + strips),
        "ppm": b"P6 60000 60000 255\n" + bytes(100),
    }


def refused_files():
    """Name with extension and content of files that must be refused."""
    for extension, format in FORMATS.items():
        data = encoded(format)
        yield f"half.{extension}", data[: len(data) // 2]
        if extension != "tif":
            yield f"header.{extension}", data[:16]
    for extension, data in lying_sizes().items():
        yield f"lying.{extension}", data
    yield "empty.png", b""
    yield "nul.jpg", bytes(4096)
    yield "postscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch executed) (w) file\nshowpage\n"
    yield "page.jpg", b"<!DOCTYPE html><script>alert(1)</script>" * 50
    yield "vector.png", b"<svg xmlns='http://www.w3.org/2000/svg' width='1e9' height='1e9'/>"
    yield "icon.png", encoded("ICO", picture((16, 16)))
    yield "zero_wide.png", png(0, 4)
    yield "depth.png", png(depth=3)
    yield "checksum.png", png().replace(b"IHDR\0\0\0\4", b"IHDR\0\0\0\5")
    yield "no_pixels.png", png(body=b"")
    yield "not_zlib.png", png(body=b"x" * 64)
    yield "chunk_length.png", b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR" + bytes(64)
    yield "text_bomb.png", png(chunks=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 28), 9)))
    yield "profile_bomb.png", png(chunks=chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(1 << 28), 9)) * 2)[:-20]
    yield "cyclic.tif", tiff_directory([(256, 4, 1, 8)], following=8)
    yield "outside.tif", tiff_directory([(256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 1, 2**31), (279, 4, 1, 64)])
    yield "no_frame.gif", b"GIF89a\x04\0\x04\0\0\0\0;"
    yield "maximum.ppm", b"P6 4 4 0\n" + bytes(48)
    yield "negative.ppm", b"P6 -4 -4 255\n" + bytes(48)
    yield "digits.pgm", b"P2 4 4 255\n" + b"9" * 100_000
    yield "run_length.bmp", b"BM" + struct.pack("<IIIIiiHHIIIIII", 90, 0, 54, 40, 60000, 60000, 1, 8, 1, 36, 0, 0, 2, 2)
    yield "not_finite.tif", encoded("TIFF", Image.fromarray(np.full((8, 8), np.nan, np.float32)))
    yield "negative.tif", encoded("TIFF", Image.fromarray(np.full((8, 8), -5, np.int32)))


def accepted_files():
    """Name and content of unusual files that must be read."""
    for mode, extension in [("L", "png"), ("LA", "png"), ("P", "png"), ("RGBA", "png"), ("1", "png"), ("CMYK", "jpg")]:
        yield f"mode_{mode}.{extension}", encoded(FORMATS[extension], picture(mode=mode))
    yield "line.png", encoded("PNG", Image.new("RGB", (65535, 1)))
    yield "orientation.jpg", encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\xff\xff\0\0\0\0\0\0")
    yield "frames.gif", encoded("GIF", save_all=True, append_images=[picture(seed=i) for i in range(20)])


# Where a case puts its file, and the command that reads it.
READERS = (
    ("photos/test/normal", ("data", "verify", "photos"), ()),
    ("photos/train/unlabeled", ("data", "prepare", "photos", "--out", "out.beton"), ("out.beton", "out.beton.json")),
    ("photos/train/normal", ("train", "photos", "--out", "out", "--recipe", "cpu"), ()),
    ("new", ("predict", "run", "new", "--out", "out.csv", "--device", "cpu"), ("out.csv",)),
)


def image_case(number, name, content, status):
    """One file, read by one of the commands in turn; a file that is accepted is not trained on, which takes long."""
    readers = READERS if status == REFUSED else READERS[:2] + READERS[3:]
    folder, command, written = readers[number % len(readers)]
    data = content if callable(content) else lambda: content

    def make(box):
        copy(box, "run") if folder == "new" else draw_photos(box.work / "photos")
        (box.work / folder).mkdir(exist_ok=True)
        (box.work / folder / name).write_bytes(data())

    if folder == "new" and status == REFUSED:
        status = PARTLY
    may_change = () if status == REFUSED else written
    return Case("image", name.replace(".", "_"), make, command, status, name if status else "", may_change)


def odd_place(name, put, culprit, status=REFUSED):
    """An image whose place in the folder is odd: ``put(path, box)`` makes it."""

    def make(box):
        path = draw_photos(box.work / "photos") / "train/unlabeled/odd.png"
        put(path, box)

    return Case("image", name, make, ("data", "verify", "photos"), status, culprit)


PLACES = [
    odd_place("pipe", lambda path, box: fifo(path), "odd.png"),
    odd_place("folder", lambda path, box: path.mkdir(), "", ACCEPTED),
    odd_place("device", lambda path, box: path.symlink_to("/dev/zero"), "", ACCEPTED),
    odd_place("link_outside", lambda path, box: path.symlink_to(box.outside / "secret.png"), "", ACCEPTED),
    odd_place("link_to_itself", lambda path, box: path.symlink_to("odd.png"), "", ACCEPTED),
    odd_place("link_twice", lambda path, box: path.symlink_to("0.png"), "0.png"),
    odd_place("link_to_parent", lambda path, box: path.with_suffix("").symlink_to(".."), "", ACCEPTED),
    odd_place("sparse", lambda path, box: sparse(path), "odd.png"),
    odd_place("escape_in_name", lambda path, box: path.with_name("\x1b]0;owned\x07\n.png").write_bytes(b"x"), "owned"),
    odd_place(
        "name_of_bytes",
        lambda path, box: open(os.fsencode(path.parent) + b"/\xff\xfe.png", "wb").close(),
        ".png",
    ),
]

CASES = [
    *(image_case(number, name, data, REFUSED) for number, (name, data) in enumerate(refused_files())),
    *(image_case(number, name, data, ACCEPTED) for number, (name, data) in enumerate(accepted_files())),
    *PLACES,
]
