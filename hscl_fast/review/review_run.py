"""Writes the page on which the suspects of a run are labelled."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from hscl_fast.console import silent
from hscl_fast.counted import counted
from hscl_fast.csv_text import escaped
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.suspects import Suspect
from hscl_fast.progress import image_progress
from hscl_fast.review.order import RULES, Order, in_order
from hscl_fast.review.page import ReviewImage, ReviewPage, render_page
from hscl_fast.review.pictures import Picture, Pictures, training_pictures
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.output_files import require_writable, write_output
from hscl_fast.runs.suspects import read_suspects, require_ranked

MOST_IMAGES = 5000  # on one page, which a browser keeps in memory
SIDES = (32, 4096)  # pixels


class Review(NamedTuple):
    """The page that was written, the images on it, and the reasons why some of them have no picture."""

    page: Path
    images: int
    problems: tuple[tuple[str, str], ...]


def review_run(
    path: str | Path,
    *,
    out: str | Path | None = None,
    top: int = 200,
    order: Order = "mixed",
    side: int = 512,
    root: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Review:
    """Write a page, one HTML file, on which a person labels unlabelled training images of a run.

    The page works without a server and a network. It keeps the labels in the browser, and writes them as a CSV file
    ``path,label`` for ``data.labels``.

    Parameters
    ----------
    path
        The directory of a trained and evaluated run.
    out
        The file to write; None: ``review.html`` in the run.
    top
        The most images on the page, 1 to 5,000.
    order
        Which images come first: see :data:`hscl_fast.review.order.RULES`.
    side
        Images with more pixels per side, 32 to 4,096, are shrunk to this many.
    root
        Folder of the data, if it has moved: see :func:`hscl_fast.data.places.moved_to`.
    overwrite
        Whether an existing file may be replaced.
    console
        Console for progress; None shows nothing.

    Raises
    ------
    UsageError
        The run has no suspects, none of its images can be read, ``out`` exists or cannot be written, or a number is
        out of range.
    """
    directory = RunDirectory(at_home(path))
    page = directory.review_page if out is None else at_home(out)
    config = directory.load_config()  # first, for its error about what is no run
    _check(page, top, side, overwrite=overwrite)
    record = read_record(directory.split)
    data = config.data if root is None else moved_to(config.data, record.kind, root)
    require_ranked(config, directory)
    suspects = read_suspects(directory)
    if not suspects:
        raise UsageError(f"{directory.path} has no unlabelled training image to judge. Give another run.")
    chosen = in_order(suspects, order, top)
    images, problems = _drawn(chosen, training_pictures(data, record), side, console or silent())
    if len(problems) == len(images):
        raise UsageError(
            f"None of {counted(len(images), 'image')} of {directory.path} can be read: {problems[0][1]}. If the data "
            "has moved, say where it is now with --root."
        )
    run = os.path.abspath(directory.path)
    content = ReviewPage(
        title=f"Review of {escaped(os.path.basename(run))}",
        rule=RULES[order],
        unlabelled=len(suspects),
        command=escaped(f"hscl train --from {shlex.quote(str(directory.path))} --data.labels labels.csv"),
        key=hashlib.sha256(os.fsencode(run) + b"\0" + record.checksum.encode()).hexdigest()[:24],
        images=images,
    )
    write_output("--out", page, render_page(content).encode("utf-8"))
    return Review(page, len(images), tuple(problems))


def _check(page: Path, top: int, side: int, *, overwrite: bool) -> None:
    """Refuse what is wrong before any image is read."""
    for name, value, (low, high) in (("top", top, (1, MOST_IMAGES)), ("side", side, SIDES)):
        if not low <= value <= high:
            raise UsageError(f"--{name} is {value}, but must be between {low} and {high:,}. Give another number.")
    require_writable("--out", page, overwrite=overwrite, kind="HTML file")


def _drawn(
    chosen: Sequence[Suspect], pictures: Pictures, side: int, console: Console
) -> tuple[list[ReviewImage], list[tuple[str, str]]]:
    """Return the images of the page, and the reasons why some have no picture."""
    images, problems = [], []
    with image_progress(console, "drawing", len(chosen)) as advance:
        for suspect in chosen:
            picture, problem = Picture("", 0, 0), ""
            try:
                picture = pictures.draw(suspect.path, side)
            except BadImages as error:
                problem = error.files[0][1]
                problems.append((suspect.path, problem))
            images.append(ReviewImage(suspect.path, *picture, problem, suspect.rank, suspect.anomaly_score))
            advance(1)
    return images, problems
