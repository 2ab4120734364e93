"""All the image files that cannot be read, in one report."""

from __future__ import annotations

from collections.abc import Sequence

from hscl_fast.errors import UsageError

SHOWN = 20
_MEND = (
    "Expected whole PNG, JPEG, BMP, GIF, TIFF, WebP or PNM files; replace what is broken, or take it out of the data."
)


class BadImages(UsageError):
    """Image files that cannot be read.

    Parameters
    ----------
    files
        Path and reason of each; the message shows the first 20.
    """

    def __init__(self, files: Sequence[tuple[str, str]]) -> None:
        shown = "; ".join(f"{path} cannot be read as an image: {reason}" for path, reason in files[:SHOWN])
        rest = f"; and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
        total = f"{len(files)} files are no images. " if len(files) > 1 else ""
        super().__init__(f"{total}{shown}{rest}. {_MEND}")
        self.files = list(files)
