"""Shows new images that were scored, the most anomalous first: as files beside their heat maps, and as a page."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from hscl_fast.atomic import write_bytes
from hscl_fast.console import say, warn
from hscl_fast.counted import counted
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.new_images import NewImage
from hscl_fast.data.types import Decoding, Images
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.heat_maps import heat_map_method, heat_maps
from hscl_fast.evaluation.heat_overlay import overlay
from hscl_fast.evaluation.predictions import Predictions
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.progress import image_progress
from hscl_fast.runs.calibration import Calibration

_LONGEST = 1024  # pixels per side of a saved picture with its heat map
_THUMBNAIL = 224  # pixels per side on the page
_TILES = 500  # images on the page, about 15 KB each with its heat map
_BATCH = 32  # images in memory at a time
_LONGEST_NAME = 200  # bytes, of the 255 that file systems allow


class _Shown(NamedTuple):
    rank: int
    image: NewImage
    score: float
    picture: Images
    heated: Images


class Pictures:
    """Images that were scored.

    Parameters
    ----------
    scoring
        The score that they have.
    images
        All images.
    predictions
        Those to show, in order; ``places`` are places in ``images``.
    decoding
        How image files are decoded.
    """

    def __init__(
        self, scoring: ImageScorer, images: list[NewImage], predictions: Predictions, decoding: Decoding
    ) -> None:
        self._scoring, self._decoding, self._method = scoring, decoding, heat_map_method(scoring)
        self._ranked = [
            (images[place], score)
            for place, score in zip(predictions.places, predictions.anomaly_scores, strict=True)
            if score is not None
        ]

    def save(self, folder: Path, console: Console) -> None:
        """Write every image and a PNG of it with its heat map into a folder, which :func:`require_empty` has checked.

        The files of the k-th image begin with k, so that they are in order and no two have one name:
        ``0001-board.jpg``, the file byte for byte, and ``0001-board.heat.png``. An image that cannot be read any more
        is left out with a warning.

        Raises
        ------
        UsageError
            The folder cannot be written.
        """
        try:
            folder.mkdir(exist_ok=True)
            for shown in self._each(len(self._ranked), _LONGEST, "heat maps", console):
                try:
                    own = shown.image.file
                    original = _png(shown.picture) if own is None else own.read_bytes()
                except OSError:
                    _warn_gone(shown.image.name, console)
                    continue
                stem, suffix = _file_name(shown.image.name)
                begin = folder / f"{shown.rank:04d}-{stem}"
                write_bytes(f"{begin}{'.png' if own is None else suffix}", original)
                write_bytes(f"{begin}.heat.png", _png(shown.heated, f"Heat map: {self._method}."))
        except OSError as error:
            raise _unwritable(folder, error) from error
        say(console, f"heat maps: {self._method}")

    def page(self, run: Path, calibration: Calibration, found: Predictions, console: Console) -> bytes:
        """Return an HTML page of the images, no more than 500 of them.

        Parameters
        ----------
        run, calibration
            What they were scored with.
        found
            All that was scored.
        console
            For progress.
        """
        from hscl_fast.evaluation.report.triage import Tile, render_triage  # jinja2 takes a tenth of a second

        threshold = calibration.threshold
        tiles = [
            Tile(shown.image.name, shown.score, shown.score > threshold, shown.picture, shown.heated)
            for shown in self._each(_TILES, _THUMBNAIL, "page", console)
        ]
        scores = [score for score in found.anomaly_scores if score is not None]
        return render_triage(
            tiles,
            title=f"{counted(len(scores), 'image')} scored by {run}",
            threshold=threshold,
            threshold_source="; ".join(filter(None, (calibration.threshold_source, calibration.threshold_caution))),
            images=len(scores),
            abnormal=sum(score > threshold for score in scores),
            errors=[pair for pair in zip(found.names, found.errors, strict=True) if pair[1]],
            method=self._method,
        )

    def _each(self, most: int, longest: int, title: str, console: Console) -> Iterator[_Shown]:
        """Yield the first images with their pictures and heat maps; those that cannot be read any more are left out."""
        ranked = self._ranked[:most]
        with image_progress(console, title, len(ranked)) as advance:
            for first in range(0, len(ranked), _BATCH):
                read = []
                for rank, (image, score) in enumerate(ranked[first : first + _BATCH], first + 1):
                    try:
                        pixels, picture = image.load(self._decoding), image.picture(self._decoding, longest)
                    except BadImages:
                        _warn_gone(image.name, console)
                        continue
                    read.append((rank, image, score, pixels, picture))
                stack = np.array([pixels for *_, pixels, _ in read], np.uint8)
                heats = heat_maps(self._scoring, stack) if read else stack
                for (rank, image, score, _, picture), heat in zip(read, heats, strict=True):
                    yield _Shown(rank, image, score, picture, overlay(picture, heat))
                advance(len(ranked[first : first + _BATCH]))


def require_empty(folder: Path) -> None:
    """Refuse a folder that has something in it, or that cannot be made.

    Raises
    ------
    UsageError
        It is not a folder, is not empty, or its parent is missing.
    """
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UsageError(f"--save_images {folder} is a file. Give a folder that is new or empty.")
    try:
        if os.path.isdir(folder) and os.listdir(folder):
            raise UsageError(
                f"--save_images {folder} is a folder with files in it, of which none may be replaced. Give a folder "
                "that is new or empty."
            )
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.path.isdir(folder.parent):
        raise UsageError(f"--save_images {folder}: there is no folder {folder.parent}. Create it, or give another.")


def _warn_gone(name: str, console: Console) -> None:
    warn(console, f"{name} has changed since it was scored and cannot be read any more, so it is not shown")


def _file_name(name: str) -> tuple[str, str]:
    """Return the stem and the ending of an image's name, without what a file name may not have, and not too long."""
    plain = re.sub(r"[\x00-\x1f\x7f/\\]", "_", name.rstrip("/").rpartition("/")[2])
    stem, _, ending = plain.rpartition(".")
    stem, suffix = (stem, f".{ending}") if stem and len(ending) < 8 else (plain, "")
    return os.fsencode(stem)[:_LONGEST_NAME].decode("utf-8", "ignore"), suffix


def _png(picture: NDArray[np.uint8], description: str | None = None) -> bytes:
    buffer, texts = io.BytesIO(), PngInfo()
    if description is not None:
        texts.add_text("Description", description)
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", pnginfo=texts)
    return buffer.getvalue()


def _unwritable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"--save_images {folder} cannot be written: {error.strerror or error}. Give a folder that you may write to, on "
        "a disk with free space."
    )
