"""Renders the page on which images are labelled, as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True)
class ReviewImage:
    """An image on the page.

    Parameters
    ----------
    path
        Its name, as the page writes it into ``labels.csv``.
    uri, width, height
        The picture as a data URI, and its size in pixels; an empty text if there is none.
    problem
        Why there is no picture, or an empty text.
    rank
        Its place among the suspects, from 1.
    score
        The anomaly score, higher = more anomalous.
    """

    path: str
    uri: str
    width: int
    height: int
    problem: str
    rank: int
    score: float


@dataclass(frozen=True)
class ReviewPage:
    """All that the page says.

    Parameters
    ----------
    title
        Its heading.
    rule
        In which order the images are, in a sentence.
    unlabelled
        The number of unlabelled training images.
    command
        The command that trains with the labels.
    key
        By which the browser keeps the labels of this run, and of no other.
    images
        The images, first one first.
    """

    title: str
    rule: str
    unlabelled: int
    command: str
    key: str
    images: Sequence[ReviewImage]


def render_page(page: ReviewPage) -> str:
    """Return the page as HTML without lone surrogates.

    No text in it is read as markup, and its content security policy allows its own script only, and no network.
    """
    source = {name: files(__package__).joinpath(name).read_text(encoding="utf-8") for name in _PARTS}
    script, style = source["review.js"], source["review.css"]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source["review.html.j2"]).render(
        page=page,
        policy=f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        data=Markup(_json({"key": page.key, "images": [asdict(image) for image in page.images]})),
    )


_PARTS = ("review.html.j2", "review.css", "review.js")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _json(value: object) -> str:
    """Return JSON in ASCII that ends no element of HTML."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
