"""Scores new images with a trained run."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from hscl_fast.atomic import write_text
from hscl_fast.console import silent
from hscl_fast.data.find import Finder
from hscl_fast.data.paths import at_home
from hscl_fast.data.readable import ReadableFiles
from hscl_fast.data.types import Decoding
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.scores_csv import scores_csv
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.progress import image_progress
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, load_calibrated
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.show import show_remarks, show_slow_precision


class FileError(NamedTuple):
    """A file that has no score, and the reason."""

    path: str
    reason: str


class Prediction(NamedTuple):
    """The result of :func:`predict_run`.

    Attributes
    ----------
    images, seconds, abnormal
        How many images were scored, in how many seconds, and how many of them were called abnormal.
    calibration
        The score and the threshold that were used.
    errors
        The files that have no score, in the order of the table.
    table
        The content of the CSV file.
    """

    images: int
    seconds: float
    abnormal: int
    calibration: Calibration
    errors: tuple[FileError, ...]
    table: str


def predict_run(
    path: str | Path,
    files: Sequence[str | Path],
    out: str | Path | None,
    *,
    device: str | None = None,
    evaluation: str | None = None,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    max_megapixels: int | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Prediction:
    """Score image files and folders of images, and write ``path,anomaly_score,decision,error`` as a CSV.

    A file that cannot be read as an image has its reason in the column ``error`` and no score; the scores of the others
    are the same, bit for bit, as without it. No more than two batches of images are in memory at a time.

    Parameters
    ----------
    path
        The directory of a trained and evaluated run.
    files
        Files of any size and colour mode, and folders, searched recursively.
    out
        The CSV file, written atomically after every image was scored; None: none is written.
    device
        As ``runtime.device``; None: as trained.
    evaluation
        The name of an evaluation in ``RUN/evaluations``, whose score and threshold are used; None: the run's own.
    exclude, follow_links
        What to leave out of folders, and whether links in them are followed: see :class:`hscl_fast.data.find.Finder`.
        A file that ``files`` names is scored in any case.
    max_megapixels
        As ``data.max_megapixels``; None: as trained.
    overwrite
        Whether an existing file may be replaced.
    console
        Console for progress and warnings; None shows nothing.

    Raises
    ------
    UsageError
        A path does not exist, a folder holds no image files, ``out`` exists or cannot be written, or the run is not
        usable.
    """
    directory = RunDirectory(at_home(path))
    out = None if out is None else at_home(out)
    console = silent() if console is None else console
    config = directory.load_config()
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    if max_megapixels is not None:
        config = replace(config, data=replace(config.data, max_megapixels=max_megapixels))
    if out is not None:
        _require_writable(out, overwrite=overwrite)
    found = _collect([at_home(file) for file in files], exclude, follow_links, console)
    prepare_backends(config.runtime)
    where = resolve_device(config.runtime.device)
    show_slow_precision(where, config.runtime.precision, console)
    scoring, calibration = load_calibrated(directory, config, where, evaluation)
    started = time.perf_counter()
    data = config.data
    decoding = Decoding(calibration.image_size, data.bit_depth, data.float_white, data.max_megapixels)
    scores, reasons = _score(scoring, found, decoding, console)
    names = [str(file) for file in found]
    table = scores_csv(names, scores, calibration.threshold, error=reasons)
    if out is not None:
        _write(out, table)
    given = [score for score in scores if score is not None]
    return Prediction(
        images=len(given),
        seconds=time.perf_counter() - started,
        abnormal=sum(score < calibration.threshold for score in given),
        calibration=calibration,
        errors=tuple(FileError(name, reason) for name, reason in zip(names, reasons, strict=True) if reason),
        table=table,
    )


def _score(
    scoring: Scoring, files: Sequence[Path], decoding: Decoding, console: Console
) -> tuple[list[float | None], list[str]]:
    """Return for each file its score, or None and the reason for that."""
    readable = ReadableFiles(files, decoding)
    with image_progress(console, "scoring", len(files)) as advance:
        found = iter(scoring.score_batches(readable.batches(scoring.images_per_batch, advance), advance).tolist())
    scores: list[float | None] = []
    reasons: list[str] = []
    for place in range(len(files)):
        score = None if place in readable.bad else next(found)
        reason = " ".join(readable.bad.get(place, "").split())
        if score is not None and not np.isfinite(score):
            score, reason = None, f"its score is {score}, which is not a finite number"
        scores.append(score)
        reasons.append(reason)
    return scores, reasons


def _require_writable(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where the CSV cannot be written, before the images are scored."""
    # os.path returns False where pathlib raises, as for a name that is too long.
    if os.path.lexists(out) and not os.path.isfile(out):
        kind = "is a folder" if os.path.isdir(out) else "is not a regular file"
        raise UsageError(f"--out {out} {kind}. Give the CSV file to write.")
    if os.path.lexists(out) and not overwrite:
        raise UsageError(f"--out {out} already exists. Give another file, or add --overwrite to replace it.")
    if not os.path.isdir(out.parent):
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist. Create it, or give another file.")
    try:
        tempfile.TemporaryFile(dir=out.parent).close()
        with suppress(FileNotFoundError):
            os.lstat(out)  # fails for a name that is too long
    except OSError as error:
        raise _unwritable(out, error) from error


def _write(out: Path, table: str) -> None:
    try:
        write_text(out, table)
    except OSError as error:
        raise _unwritable(out, error) from error


def _unwritable(out: Path, error: OSError) -> UsageError:
    return UsageError(
        f"--out {out} cannot be written: {error.strerror or error}. Give a file that you may write to, on a disk with "
        "free space."
    )


def _collect(paths: Sequence[Path], exclude: Sequence[str], follow_links: bool, console: Console) -> list[Path]:
    # Paths that do not exist come first, so that a long list is not searched in vain.
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(f"{path} does not exist. Give image files, or folders that hold images.")
    finders = {path: Finder(path, exclude, follow_links=follow_links, flags="--") for path in paths if path.is_dir()}
    if (exclude or follow_links) and not finders:
        given = f"--exclude is {list(exclude)}" if exclude else "--follow_links is True"
        raise UsageError(f"{given}, but no PATH is a folder, so it would do nothing. Leave it out, or give a folder.")
    files: list[Path] = []
    for path in paths:
        found = finders[path].find() if path in finders else [path]
        if path in finders:
            show_remarks(finders[path].remarks, console)
        if not found:
            raise UsageError(f"The folder {path} holds no image files. Give image files, or folders that hold images.")
        files += found
    if finders:
        first, *others = finders.values()
        first.require_used(*others)
    return list(dict.fromkeys(files))  # a file that is named twice is scored once
