"""Plain lines on the console."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Print one line as it is: no markup, no colours, no line breaks of its own."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def warn(console: Console, text: str) -> None:
    """Print one line as a warning."""
    console.print(f"warning: {text}", style="yellow", soft_wrap=True, highlight=False, markup=False)


def silent() -> Console:
    """Return a console that shows nothing."""
    return Console(quiet=True, force_terminal=False)
