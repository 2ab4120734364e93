"""``hscl review``: writes a page on which the unlabelled images of a run are labelled."""

from __future__ import annotations

import shlex

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.console import say, warn
from hscl_fast.counted import counted
from hscl_fast.review.review_run import review_run

_SHOWN = 5  # images without a picture


def run(options: Namespace, console: Console) -> int:
    """Write the page, and say what to do with it."""
    done = review_run(
        options.RUN,
        out=options.out,
        top=options.top,
        order=options.order,
        side=options.side,
        root=options.root,
        overwrite=options.overwrite,
        console=console,
    )
    if done.problems:
        shown = "; ".join(f"{path}: {reason}" for path, reason in done.problems[:_SHOWN])
        more = f"; and {len(done.problems) - _SHOWN:,} more" if len(done.problems) > _SHOWN else ""
        warn(console, f"{counted(len(done.problems), 'image')} without a picture: {shown}{more}")
    say(console, f"review: {done.page}, {counted(done.images, 'image')}: open it in a browser, judge with 1 / 2 / 3")
    say(console, f"next:   hscl train --from {shlex.quote(options.RUN)} --data.labels labels.csv")
    return 0
