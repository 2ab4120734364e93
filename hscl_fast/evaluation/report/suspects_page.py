"""Renders the gallery of suspects as one self-contained HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from importlib.resources import files

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.types import Images
from hscl_fast.evaluation.suspects import Suspect, Suspects

LONGEST = 256  # pixels per side
_TINY = 64  # pixels; up to here a picture is kept exactly, and shown with its pixels
_QUALITY = 85


def render_suspects(suspects: Suspects, picture: Callable[[Suspect], Images], *, top: int, run: str) -> bytes:
    """Return the page.

    Parameters
    ----------
    suspects
        All unlabelled images.
    picture
        Returns the picture of an image, uint8 ``[h, w, 3]`` with at most ``LONGEST`` pixels per side, or raises
        :class:`hscl_fast.data.bad_images.BadImages`.
    top
        The number of images that are shown, from the first on.
    run
        The name of the run.
    """
    shown = suspects.images[:top]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files(__package__).joinpath("suspects.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        run=run, figures=suspects.figures, found=_found(shown), tiles=[_tile(image, picture) for image in shown]
    )
    # A file name that is not UTF-8 carries surrogates; a question mark in a caption is better than no page.
    return page.encode("utf-8", errors="replace")


def _found(shown: Sequence[Suspect]) -> int:
    return sum(bool(image.hidden_anomaly) for image in shown)


def _tile(image: Suspect, picture: Callable[[Suspect], Images]) -> dict[str, object]:
    try:
        pixels = picture(image)
    except BadImages as error:
        return {"image": image, "source": None, "tiny": False, "problem": error.files[0][1]}
    tiny = max(pixels.shape[:2]) <= _TINY
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "WEBP", lossless=tiny, quality=_QUALITY)
    source = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"image": image, "source": source, "tiny": tiny, "problem": None}
