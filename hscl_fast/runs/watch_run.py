"""Scores the images that arrive in a folder, as long as it is not told to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from hscl_fast.config.sections import Config
from hscl_fast.console import silent
from hscl_fast.data.arrivals import Arrivals
from hscl_fast.data.find import EXTENSIONS
from hscl_fast.data.new_images import FileImage
from hscl_fast.data.paths import at_home
from hscl_fast.errors import UsageError
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.runs.calibration import Calibration
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.growing_table import GrowingTable
from hscl_fast.runs.score_new import decoding_of, open_scoring, score_new, with_options

_PAUSE = 0.15  # seconds between two looks at the folder
_AT_A_TIME = 16  # images that are scored before their rows are written


class WatchedRow(NamedTuple):
    """A row that was written; ``anomaly_score`` is None where the file could not be read, and ``error`` says why."""

    path: str
    anomaly_score: float | None
    abnormal: bool
    error: str


class Watched(NamedTuple):
    """The result of :func:`watch_run`: how many rows it has written, of which how many have no score."""

    rows: int
    errors: int


def watch_run(
    path: str | Path,
    folder: str | Path,
    out: str | Path,
    *,
    stopped: Callable[[], bool],
    device: str | None = None,
    evaluation: str | None = None,
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    max_megapixels: int | None = None,
    on_start: Callable[[Calibration, int], object] = lambda calibration, rows: None,
    on_rows: Callable[[Sequence[WatchedRow]], object] = lambda rows: None,
    console: Console | None = None,
) -> Watched:
    """Score every image file of a folder, those that are there and those that arrive, and append a row for each.

    A file is scored when it has stopped changing. One that cannot be read is tried again for eight seconds; then it
    gets a row with the reason, and another row if it changes later. Every row is on the disk before more images are
    scored; files that have a row are not scored again, also not by the next call. Files that disappear are no error.

    Parameters
    ----------
    path
        The directory of a trained and evaluated run.
    folder
        The folder, which is searched with its sub-folders.
    out
        A CSV file with the columns of :func:`hscl_fast.runs.predict_run.predict_run`, which is made or continued.
    stopped
        Asked several times a second; True ends it.
    device, evaluation, exclude, follow_links, max_megapixels
        As for :func:`hscl_fast.runs.predict_run.predict_run`.
    on_start
        Called before the first image with the calibration and the number of rows that are there.
    on_rows
        Called with rows that were written.
    console
        Console for warnings; None shows nothing.

    Raises
    ------
    UsageError
        The folder does not exist, ``out`` is another kind of file, is in use or cannot be written, or the run is not
        usable.
    """
    directory, folder, out = RunDirectory(at_home(path)), at_home(folder), at_home(out)
    console = silent() if console is None else console
    config = with_options(directory.load_config(), device, max_megapixels)
    _check_places(folder, out)
    scoring, calibration = open_scoring(directory, config, evaluation, console)
    with GrowingTable(out) as table:
        on_start(calibration, len(table.paths))
        arrivals = Arrivals(folder, exclude, lambda file: str(file) in table, follow_links=follow_links)
        watch = _Watch(scoring, calibration, config, table, arrivals, on_rows)
        while not stopped():
            whole = arrivals.whole()
            for first in range(0, len(whole), _AT_A_TIME):
                if stopped():
                    break
                watch.score(whole[first : first + _AT_A_TIME])
            else:
                time.sleep(_PAUSE)
    return Watched(watch.rows, watch.errors)


class _Watch:
    def __init__(
        self,
        scoring: ImageScorer,
        calibration: Calibration,
        config: Config,
        table: GrowingTable,
        arrivals: Arrivals,
        on_rows: Callable[[Sequence[WatchedRow]], object],
    ) -> None:
        self._scoring, self._threshold = scoring, calibration.threshold
        self._decoding = decoding_of(config, calibration)
        self._table, self._arrivals, self._on_rows = table, arrivals, on_rows
        self.rows = self.errors = 0

    def score(self, files: Sequence[Path]) -> None:
        """Append the rows of some files, but not of those that cannot be read yet."""
        images = [FileImage(file) for file in files]
        found = score_new(self._scoring, images, self._decoding, self._threshold, silent())
        kept = []
        for row, file in enumerate(files):
            if found.anomaly_scores[row] is not None:
                self._arrivals.finish(file)
                kept.append(row)
            elif self._arrivals.failed(file):
                kept.append(row)
        if not kept:
            return
        rows = found.take(kept)
        self._table.append(rows)
        self.rows += len(kept)
        self.errors += sum(score is None for score in rows.anomaly_scores)
        self._on_rows(
            [
                WatchedRow(name, score, score is not None and score > rows.threshold, error)
                for name, score, error in zip(rows.names, rows.anomaly_scores, rows.errors, strict=True)
            ]
        )


def _check_places(folder: Path, out: Path) -> None:
    if not os.path.isdir(folder):
        reason = "is a file" if os.path.lexists(folder) else "does not exist"
        raise UsageError(f"{folder} {reason}. Give the folder in which images arrive.")
    if out.suffix.lower() in EXTENSIONS:
        raise UsageError(f"--out is {out}, which has the name of an image. Give a CSV file, such as scores.csv.")
    if os.path.lexists(out) and not os.path.isfile(out):
        found = "is a folder" if os.path.isdir(out) else "is not a regular file"
        raise UsageError(f"--out {out} {found}. Give the CSV file to write.")
    if not os.path.isdir(out.parent):
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist. Create it, or give another file.")
