"""The training images of a run as people look at them, for a page that needs no other file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from hscl_fast.config.sections import DataConfig
from hscl_fast.csv_text import escaped
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.kinds import DEFAULT_SIZE, open_user_images
from hscl_fast.data.named.registry import load_source
from hscl_fast.data.originals import Originals, originals_of
from hscl_fast.data.paths import resolve_inside
from hscl_fast.data.split.record import SplitRecord
from hscl_fast.data.types import FILE_KINDS, Decoding, Images, Source

_SMALL = 96  # pixels: up to this side a PNG, which is exact, is small
_QUALITY = 85


class Picture(NamedTuple):
    """A picture as a data URI, its width and its height in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Pictures:
    """The training images of a split, by the names that tables have for them.

    Parameters
    ----------
    images
        The files, or the arrays that they lie in, at their own size.
    places
        The name of the file, or the index in the array, by the name in tables; None where two are written alike.
    follow_links
        Whether links may lead out of the folder of the files.
    """

    images: Originals | Source
    places: dict[str, str | int | None]
    follow_links: bool

    def draw(self, name: str, longest: int) -> Picture:
        """Return one image, shrunk to at most ``longest`` pixels per side and never enlarged.

        Raises
        ------
        BadImages
            There is no such image in the split, or its file is gone or cannot be read.
        """
        place = self.places.get(name)
        if place is None:
            reason = "two files have names that tables write alike" if name in self.places else "it is not in the split"
            raise BadImages([(name, reason)])
        if isinstance(place, str):
            return _encoded(Image.fromarray(self._file(name, place, longest)))
        assert isinstance(self.images, Source)
        image = Image.fromarray(self.images.train.images[place])
        image.thumbnail((longest, longest), Image.Resampling.BILINEAR)
        return _encoded(image)

    def _file(self, name: str, place: str, longest: int) -> Images:
        assert isinstance(self.images, Originals)
        if not self.follow_links and resolve_inside(self.images.folder, place) is None:
            raise BadImages([(name, "it leads out of the folder of the images")])
        return self.images.load(place, longest)


def training_pictures(config: DataConfig, record: SplitRecord) -> Pictures:
    """Open the training images of a run.

    Parameters
    ----------
    config
        The ``data`` section of the run's configuration.
    record
        The run's split record.

    Raises
    ------
    UsageError
        The data is not there, or not readable.
    """
    names = record.train.image
    images: Originals | Source
    if record.kind in FILE_KINDS:
        size = config.image_size or DEFAULT_SIZE
        decoding = Decoding(size, config.bit_depth, config.float_white, config.max_megapixels)
        files = originals_of(config, record.kind, decoding)
        assert files is not None
        images, pairs = files, [(name, name) for name in names]
    else:
        images = load_source(config) if record.kind == "named" else open_user_images(config, record.kind).source
        known = len(images.train.names)
        pairs = [(images.train.names[index], index) for index in names if index < known]
    places: dict[str, str | int | None] = {}
    for name, place in pairs:
        written = escaped(name)
        places[written] = None if written in places else place
    return Pictures(images, places, config.follow_links)


def _encoded(image: Image.Image) -> Picture:
    data = io.BytesIO()
    small = max(image.size) <= _SMALL
    image.save(data, "PNG" if small else "JPEG", **({} if small else {"quality": _QUALITY}))
    kind = "png" if small else "jpeg"
    return Picture(f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}", *image.size)
