"""Images that a trained run has not seen: files, or places in arrays, with the names that they are listed by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.decode import load_image, load_shrunk, resize_images
from hscl_fast.data.types import AnyImages, Decoding, Images


class NewImage(Protocol):
    """One image.

    Attributes
    ----------
    name
        What it is listed by: the path of a file, or that of an array's file with the place in it.
    file
        The image file, or None where the image lies in an array.
    """

    @property
    def name(self) -> str: ...

    @property
    def file(self) -> Path | None: ...

    def load(self, decoding: Decoding) -> Images:
        """Return it as the network sees it, uint8 ``[S, S, 3]``; raise :class:`BadImages` if it cannot be read."""

    def picture(self, decoding: Decoding, longest: int) -> Images:
        """Return it to be looked at, uint8 ``[H, W, 3]`` with at most ``longest`` pixels per side."""


@dataclass(frozen=True)
class FileImage:
    """An image file."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def file(self) -> Path | None:
        return self.path

    def load(self, decoding: Decoding) -> Images:
        return load_image(self.path, decoding)

    def picture(self, decoding: Decoding, longest: int) -> Images:
        return load_shrunk(self.path, decoding, longest)


@dataclass(frozen=True, eq=False)
class ArrayImage:
    """One of the images of an ``.npz`` or ``.beton`` file."""

    name: str
    images: AnyImages
    row: int
    file: Path | None = None

    def load(self, decoding: Decoding) -> Images:
        return resize_images(self.images[self.row : self.row + 1], decoding.size)[0]

    def picture(self, decoding: Decoding, longest: int) -> Images:
        image = Image.fromarray(np.ascontiguousarray(self.images[self.row]))
        image.thumbnail((longest, longest), Image.Resampling.BILINEAR)
        return np.asarray(image)


@dataclass(frozen=True)
class RefusedImage:
    """An entry of a list that is not read, and why."""

    name: str
    reason: str
    file: Path | None = None

    def load(self, decoding: Decoding) -> Images:
        raise BadImages([(self.name, self.reason)])

    def picture(self, decoding: Decoding, longest: int) -> Images:
        raise BadImages([(self.name, self.reason)])
