"""The console, and plain lines on it."""

from __future__ import annotations

import os
import signal

from rich.console import Console


class PatientConsole(Console):
    """A console whose reader may leave, as ``hscl train ... | head`` does: a run then stops as after Ctrl-C, saved."""

    def on_broken_pipe(self) -> None:
        """Fall silent, and ask whatever runs to stop; Python ignores the signal where nothing listens for it."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())  # else the interpreter's last flush fails
        signal.raise_signal(signal.SIGPIPE)


def say(console: Console, text: str) -> None:
    """Print one line verbatim, without markup, colours or wrapping."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def warn(console: Console, text: str) -> None:
    """Print one line as a warning."""
    console.print(f"warning: {text}", style="yellow", soft_wrap=True, highlight=False, markup=False)


def silent() -> Console:
    """Return a console that prints nothing."""
    return Console(quiet=True, force_terminal=False)
