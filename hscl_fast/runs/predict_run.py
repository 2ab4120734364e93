"""Scores new images with a trained run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Console

from hscl_fast.console import silent
from hscl_fast.data.given_images import GivenImages
from hscl_fast.data.paths import at_home
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.predictions import Predictions
from hscl_fast.runs.calibration import Calibration
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.output_files import require_writable, write_output
from hscl_fast.runs.pictures import Pictures, require_empty
from hscl_fast.runs.score_new import decoding_of, open_scoring, score_new, with_options
from hscl_fast.runs.show import show_remarks

TableFormat = Literal["csv", "json"]


class FileError(NamedTuple):
    """An image that has no score, and the reason."""

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
        The images that have no score, in the order given.
    table
        The content of the CSV or JSON file.
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
    root: str | Path | None = None,
    max_megapixels: int | None = None,
    sort: bool = False,
    top: int | None = None,
    table: TableFormat | None = None,
    report: str | Path | None = None,
    save_images: str | Path | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Prediction:
    """Score new images, and write ``path,anomaly_score,decision,error`` as CSV or JSON.

    An image that cannot be read has its reason in the column ``error`` and no score; the scores of the others are the
    same, bit for bit, as without it. No more than two batches of images are in memory at a time.

    Parameters
    ----------
    path
        The directory of a trained and evaluated run.
    files
        Image files of any size and colour mode, folders, patterns, lists, or CSV, NPZ and beton files: see
        :class:`hscl_fast.data.given_images.GivenImages`.
    out
        The file, written atomically after every image was scored; None: none is written.
    device
        As ``runtime.device``; None: as trained.
    evaluation
        The name of an evaluation in ``RUN/evaluations``, whose score and threshold are used; None: the run's own.
    exclude, follow_links
        What to leave out of folders, and whether links in them are followed: see :class:`hscl_fast.data.find.Finder`.
        A file that ``files`` names is scored in any case.
    root
        The folder that the paths of CSV files are relative to; None: that of the CSV file.
    max_megapixels
        As ``data.max_megapixels``; None: as trained.
    sort
        Most anomalous first, in place of the order given.
    top
        Only so many images, the most anomalous, sorted; those that cannot be read are all there, at the end.
    table
        The format; None: JSON if ``out`` ends with ``.json``, else CSV.
    report
        An HTML file to write, a page to look through, the most anomalous first; None: none is written.
    save_images
        A new or empty folder for copies of the images, the most anomalous first, with their heat maps; None: none is
        written.
    overwrite
        Whether existing files may be replaced; those in ``save_images`` never are.
    console
        Console for progress and warnings; None shows nothing.

    Raises
    ------
    UsageError
        A path does not exist, a folder holds no image files, a file to write exists or cannot be written, ``top`` is
        not positive, or the run is not usable.
    """
    directory = RunDirectory(at_home(path))
    out, report, save_images, root = (None if x is None else at_home(x) for x in (out, report, save_images, root))
    console = silent() if console is None else console
    if top is not None and top < 1:
        raise UsageError(f"--top is {top}, but must be 1 or more. Leave it out for all images.")
    config = with_options(directory.load_config(), device, max_megapixels)
    if out is not None:
        require_writable("--out", out, overwrite=overwrite, kind="CSV or JSON file")
    if report is not None:
        require_writable("--report", report, overwrite=overwrite, kind="HTML file")
    if save_images is not None:
        require_empty(save_images)
    given = GivenImages(files, exclude=exclude, follow_links=follow_links, root=root)
    show_remarks(given.remarks, console)
    scoring, calibration = open_scoring(directory, config, evaluation, console)
    given.require_size(calibration.image_size)
    started = time.perf_counter()
    decoding = decoding_of(config, calibration)
    found = score_new(scoring, given.images, decoding, calibration.threshold, console)
    shown = found.most_anomalous_first(top) if sort or top is not None else found
    text = _table(shown, table or _format_of(out), directory, calibration)
    if out is not None:
        write_output("--out", out, text.encode("utf-8"))
    seconds = time.perf_counter() - started
    pictures = Pictures(scoring, given.images, found.most_anomalous_first(top), decoding)
    if save_images is not None:
        pictures.save(save_images, console)
    if report is not None:
        write_output("--report", report, pictures.page(directory.path, calibration, found, console))
    scores = [score for score in found.anomaly_scores if score is not None]
    return Prediction(
        images=len(scores),
        seconds=seconds,
        abnormal=sum(score > calibration.threshold for score in scores),
        calibration=calibration,
        errors=tuple(FileError(*pair) for pair in zip(found.names, found.errors, strict=True) if pair[1]),
        table=text,
    )


def _format_of(out: Path | None) -> TableFormat:
    return "json" if out is not None and out.suffix.lower() == ".json" else "csv"


def _table(shown: Predictions, table: TableFormat, directory: RunDirectory, calibration: Calibration) -> str:
    if table == "csv":
        return shown.csv()
    return shown.json(
        run=str(directory.path),
        scoring=calibration.scoring,
        checkpoint=calibration.checkpoint,
        step=calibration.step,
    )
