"""Renders new images and their scores as one self-contained page to look through, the most anomalous first."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from PIL import Image

from hscl_fast.csv_text import escaped

_SHOWN_ERRORS = 200


@dataclass(frozen=True)
class Tile:
    """One image of the page.

    Attributes
    ----------
    name
        Its full name.
    anomaly_score
        Higher = more anomalous.
    abnormal
        The decision.
    thumbnail, heated
        uint8 ``[h, w, 3]``: the image, and the same with its heat map, or None.
    """

    name: str
    anomaly_score: float
    abnormal: bool
    thumbnail: npt.NDArray[np.uint8]
    heated: npt.NDArray[np.uint8] | None


def render_triage(
    tiles: Sequence[Tile],
    *,
    title: str,
    threshold: float,
    threshold_source: str,
    images: int,
    abnormal: int,
    errors: Sequence[tuple[str, str]],
    method: str,
) -> bytes:
    """Return the page.

    Parameters
    ----------
    tiles
        In the order in which they are shown.
    title
        The headline.
    threshold, threshold_source
        Images with a higher anomaly score are abnormal; and where that comes from, in words.
    images, abnormal
        How many images were scored, and how many of them are abnormal; the page may show fewer.
    errors
        Name and reason of the images without a score.
    method
        How the heat maps were made.
    """
    values = [tile.anomaly_score for tile in tiles] + [threshold]
    low, span = min(values), (max(values) - min(values)) or 1.0
    shown = [
        {
            "name": escaped(tile.name),
            "score": f"{tile.anomaly_score:.4g}",
            "share": 100 * (tile.anomaly_score - low) / span,
            "decision": "abnormal" if tile.abnormal else "normal",
            "picture": _data_uri(tile.thumbnail),
            "heated": None if tile.heated is None else _data_uri(tile.heated),
        }
        for tile in tiles
    ]
    listed = [(escaped(name), escaped(reason)) for name, reason in errors[:_SHOWN_ERRORS]]
    context = {
        "title": escaped(title),
        "threshold": f"{threshold:.4g}",
        "threshold_share": 100 * (threshold - low) / span,
        "threshold_source": threshold_source,
        "images": images,
        "abnormal": abnormal,
        "tiles": shown,
        "errors": listed,
        "more_errors": len(errors) - len(listed),
        "error_count": len(errors),
        "method": method,
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files(__package__).joinpath("triage.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(context).encode("utf-8")


def _data_uri(picture: npt.NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
