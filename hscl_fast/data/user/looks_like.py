"""What a file holds, going by its first bytes, for the error about a file of another kind than its name says."""

from __future__ import annotations

_MAGIC = {
    b"\x93NUMPY": "a single array that numpy.save wrote",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"\x80": "Python objects",
    b"\x89HDF": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def looks_like(head: bytes) -> str | None:
    """Return in words what a file that begins with ``head`` holds; None if that is unknown.

    >>> looks_like(b"path,label,split")
    'text'
    """
    if not head:
        return "an empty file"
    for magic, words in _MAGIC.items():
        if head.startswith(magic):
            return words
    if b"\0" in head:
        return "text in UTF-16" if _is_utf16_text(head) else None
    try:
        head[:-3].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return None
    return "text"


def _is_utf16_text(head: bytes) -> bool:
    """Return whether every second byte is 0, as in UTF-16 without a mark of the order of bytes."""
    return any(not any(head[start::2]) and all(head[1 - start :: 2]) for start in (0, 1))
