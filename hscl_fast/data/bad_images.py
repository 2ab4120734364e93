"""One error for all the image files that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence

from hscl_fast.csv_text import csv_text
from hscl_fast.errors import UsageError

SHOWN = 20
_ADVICE = "Expected whole PNG, JPEG, BMP, GIF, TIFF, WebP or PNM files. Replace these files, or leave them out."


class BadImages(UsageError):
    """Image files that cannot be read.

    Parameters
    ----------
    files
        Path of each file and the reason; the message shows the first 20.
    advice
        A sentence on what else can be done, for the end of the message.
    """

    def __init__(self, files: Sequence[tuple[str, str]], advice: str = "") -> None:
        shown = "; ".join(f"{path} cannot be read as an image: {reason}" for path, reason in files[:SHOWN])
        rest = f"; and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        total = f"{len(files)} files cannot be read as images. " if len(files) > 1 else ""
        super().__init__(f"{total}{shown}{rest}. {_ADVICE}{advice and f' {advice}'}")
        self.files = list(files)


def skipped_csv(files: Sequence[tuple[str, str]]) -> str:
    """Return a table of the files that were left out, ``path,reason``; what is not UTF-8 in a name is escaped."""
    return csv_text(["path", "reason"], [(path, " ".join(reason.split())) for path, reason in files])
