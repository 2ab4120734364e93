"""The pictures in a page, as ``data:`` URIs, and the links to their files."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.originals import Originals
from hscl_fast.data.types import AnyImages, Images
from hscl_fast.evaluation.heat_overlay import overlay
from hscl_fast.evaluation.report.heat import Heat

LONGEST = 256  # pixels per side; keeps a picture at about ten kilobytes
_TINY = 64  # pixels; up to here a picture is kept exactly, and shown with its pixels
_QUALITY = 82


@dataclass(frozen=True)
class Picture:
    """A picture in a page.

    Attributes
    ----------
    source
        A ``data:`` URI; None where the file can no longer be read.
    heated
        The same with its heat map over it; None without one.
    is_tiny
        It has so few pixels that they are to be seen.
    link
        The ``file:`` URI of the original, if there is one.
    """

    source: str | None
    heated: str | None = None
    is_tiny: bool = False
    link: str | None = None


@dataclass(frozen=True)
class PictureSource:
    """Where the pictures of some images come from.

    Parameters
    ----------
    images
        As the network sees them, which are shown where there are no originals.
    names
        One per image.
    originals
        Their files, if they have any.
    heat
        How heat maps are made; None: there are none.
    """

    images: AnyImages
    names: Sequence[str]
    originals: Originals | None
    heat: Heat | None

    def pictures(self, rows: Sequence[int]) -> list[Picture]:
        """Return the originals of some images, shrunk to at most ``LONGEST`` pixels per side."""
        shown = {row: image for row in rows if (image := self._shown(row)) is not None}
        heats: dict[int, npt.NDArray[np.float32]] = {}
        if self.heat is not None and shown:
            heats = dict(zip(shown, self.heat.maps(self.images[np.array([*shown])]), strict=True))
        return [self._picture(row, shown[row], heats.get(row)) if row in shown else Picture(None) for row in rows]

    def _shown(self, row: int) -> Images | None:
        try:
            return self.images[row] if self.originals is None else self.originals.load(self.names[row], LONGEST)
        except BadImages:
            return None

    def _picture(self, row: int, shown: Images, heat: npt.NDArray[np.float32] | None) -> Picture:
        heated = None if heat is None else data_uri(overlay(shown, heat))
        link = None
        if self.originals is not None and os.path.isfile(path := self.originals.path(self.names[row])):
            link = path.as_uri()
        return Picture(data_uri(shown), heated, _is_tiny(shown), link)


def data_uri(image: Images) -> str:
    """Return an image uint8 [h, w, 3] as a ``data:`` URI: WebP, without loss where it is tiny."""
    picture, buffer = Image.fromarray(np.ascontiguousarray(image)), io.BytesIO()
    picture.thumbnail((LONGEST, LONGEST))
    picture.save(buffer, "WEBP", lossless=_is_tiny(image), quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _is_tiny(image: npt.NDArray[np.uint8]) -> bool:
    return max(image.shape[:2]) <= _TINY
