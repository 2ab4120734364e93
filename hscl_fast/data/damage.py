"""Finds damage in image files that Pillow decodes without an error, to grey areas or to other pixels."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import simplejpeg
from PIL import Image

_PIECE = 1 << 20  # bytes read or inflated at a time
_PNG_SIGNATURE = 8
_MOST_PADDING = 64  # zero bytes before the end of a JPEG, as cameras write them to align their frames
_TIFF_JPEG, _TIFF_DEFLATE = (7,), (8, 32946)
_UNCOMPRESSED = 1  # Pillow itself refuses such files where they are short
_COMPRESSION, _JPEG_TABLES = 259, 347  # tags


def find_damage(path: Path, image: Image.Image, max_pixels: int) -> str | None:
    """Return what is wrong with an image file, beyond the damage that Pillow refuses; None where nothing is found.

    A JPEG is decoded by libjpeg, whose warnings count; a PNG's checksums are compared; in a TIFF, the compressed strips
    or tiles must lie inside the file, and JPEG and deflate ones be whole. Pillow refuses all other formats by itself
    where data is missing.

    Parameters
    ----------
    path
        The file.
    image
        What :func:`PIL.Image.open` returned for it.
    max_pixels
        A JPEG with more pixels is not decoded.
    """
    with path.open("rb") as file:
        if image.format in ("JPEG", "MPO"):
            return jpeg_damage(file.read(), max_pixels)
        if image.format == "PNG":
            return _png_damage(file)
        if image.format == "TIFF":
            return _tiff_damage(file, image, max_pixels)
    return None


def jpeg_damage(data: bytes, max_pixels: int) -> str | None:
    """Return libjpeg's warning of missing or invalid data in a JPEG, or None."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        if height * width > max_pixels:
            return f"its JPEG data has {width} x {height} pixels, more than expected"
        # Grey at an eighth of the size costs the least, and reads all of the data nevertheless.
        target = "CMYK" if colours in ("CMYK", "YCCK") else "GRAY"
        simplejpeg.decode_jpeg(data, target, min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        reason = str(error)
        # libjpeg also warns of headers that it does not know, which says nothing of the picture.
        if reason.startswith(("Corrupt JPEG data", "Premature end")) and not _is_padding(data, reason):
            return f"it is damaged: {reason}"
    return None


def _is_padding(data: bytes, reason: str) -> bool:
    found = re.search(r"(\d+) extraneous bytes before marker 0xd9", reason)
    if found is None or int(found[1]) > _MOST_PADDING:
        return False
    end = data.rfind(b"\xff\xd9")
    return not any(data[end - int(found[1]) : end])


def _png_damage(file: BinaryIO) -> str | None:
    """Compare the checksum of each chunk that the picture depends on; Pillow skips those of the pixels."""
    file.seek(_PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            return "it is truncated: it ends before the chunk IEND"
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        checksum, rest = zlib.crc32(kind), length
        while rest and (piece := file.read(min(rest, _PIECE))):
            checksum, rest = zlib.crc32(piece, checksum), rest - len(piece)
        stored = file.read(4)
        if rest or len(stored) < 4:
            return "it is truncated: it ends within a chunk"
        if kind[:1].isupper() and int.from_bytes(stored, "big") != checksum:
            return f"it is damaged: the checksum of a chunk {kind.decode('ascii', 'replace')} does not fit"
    return None


def _tiff_damage(file: BinaryIO, image: Image.Image, max_pixels: int) -> str | None:
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    compression = tags.get(_COMPRESSION, _UNCOMPRESSED)
    if compression == _UNCOMPRESSED:
        return None
    length = file.seek(0, 2)
    for offset, count in _strips(tags):
        if offset + count > length:
            return "it is truncated: it ends within its strips or tiles"
        file.seek(offset)
        if compression in _TIFF_JPEG:
            data = file.read(count)
            tables = tags.get(_JPEG_TABLES)
            # The tables that all strips share are a JPEG without a picture; a strip lacks them.
            whole = data if tables is None else tables[:-2] + data[2:]
            if (damage := jpeg_damage(whole, max_pixels)) is not None:
                return damage
        if compression in _TIFF_DEFLATE and not _inflates(file.read(count), max_pixels * 16):
            return "it is damaged: the checksum of a strip or tile does not fit"
    return None


def _strips(tags: Any) -> Iterator[tuple[int, int]]:
    """Yield the offset and the number of bytes of each strip or tile that has any."""
    for offsets_tag, counts_tag in ((273, 279), (324, 325)):
        offsets, counts = tags.get(offsets_tag, ()), tags.get(counts_tag, ())
        listed = zip(*(value if isinstance(value, tuple) else (value,) for value in (offsets, counts)), strict=False)
        yield from ((offset, count) for offset, count in listed if count)


def _inflates(data: bytes, most: int) -> bool:
    """Return whether zlib data is whole and fits its checksum; more than ``most`` bytes of it are not looked at."""
    stream, done = zlib.decompressobj(), 0
    try:
        while not stream.eof and done < most:
            piece = stream.decompress(data, _PIECE)
            data, done = stream.unconsumed_tail, done + len(piece)
            if not piece and not data:
                return stream.eof
    except zlib.error:
        return False
    return True
