"""Numbers with the things that they count."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number and its noun in the singular or plural.

    >>> counted(1, "image"), counted(60000, "image"), counted(0, "class", "classes")
    ('1 image', '60,000 images', '0 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
