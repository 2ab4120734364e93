"""Prints plain lines on the console."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Print one line verbatim, without markup, colours or wrapping."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def warn(console: Console, text: str) -> None:
    """Print one line as a warning."""
    console.print(f"warning: {text}", style="yellow", soft_wrap=True, highlight=False, markup=False)


def silent() -> Console:
    """Return a console that prints nothing."""
    return Console(quiet=True, force_terminal=False)
