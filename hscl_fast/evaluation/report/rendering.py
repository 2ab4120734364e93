"""Renders a page from its template: one HTML file that needs no other and asks no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

NO_VALUE = "—"


def percent(share: float | None) -> str:
    """Format a share in [0, 1] as a percentage with one decimal, None as a dash."""
    return NO_VALUE if share is None else f"{100 * share:.1f} %"


def duration(seconds: float | None) -> str:
    """Format seconds in a readable unit, None as a dash."""
    if seconds is None:
        return NO_VALUE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def number(value: float | None) -> str:
    """Format a score with four significant digits, None as a dash."""
    return NO_VALUE if value is None else f"{value:.4g}"


def count(value: int | None) -> str:
    """Format a number of things, None as unknown."""
    return "unknown" if value is None else f"{value:,}"


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """Return a page.

    Whatever is put into it is escaped. Should markup from outside get in all the same, the page's policy runs no script
    but its own, which it knows by the hash, and loads nothing.

    Parameters
    ----------
    template
        The name of a file in ``templates``.
    context
        Its values.
    """
    folder = files(__package__).joinpath("templates")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, duration=duration, number=number, count=count)
    # They are ours, and the script must be as it was hashed.
    own = {"style": Markup(style), "script": Markup(script), "script_hash": digest}
    page = environment.get_template(template).render(own | dict(context))
    # A file name that is not UTF-8 carries surrogates; a question mark in a caption is better than no report.
    return page.encode("utf-8", errors="replace")
