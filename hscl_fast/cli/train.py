"""``hscl train``: splits the data, trains or resumes, and evaluates."""

from __future__ import annotations

import time
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.cli.show import show_summary
from hscl_fast.config.parsing import from_namespace
from hscl_fast.config.sections import Config
from hscl_fast.interrupt import Interrupted
from hscl_fast.runs.train_run import train_run
from hscl_fast.runs.warm_start import begun_from


def run(options: Namespace, console: Console) -> int:
    """Train or resume, and print the results."""
    config = from_namespace(options)
    if options["from"] is not None:
        config = begun_from(config, options["from"])
    out = options.out or _fresh_name(config)
    try:
        done = train_run(config, out, resume=options.resume, overwrite=options.overwrite, console=console)
    except Interrupted as stopped:
        return stopped.exit_code
    if done.summary is not None:
        show_summary(done, console)
    return 0


def _fresh_name(config: Config) -> str:
    return f"runs/{Path(config.data.name).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
