"""The page of a run's most suspicious images."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hscl_fast.atomic import write_bytes
from hscl_fast.config.sections import DataConfig
from hscl_fast.csv_text import escaped
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.open import open_split
from hscl_fast.data.originals import originals_of
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import Images
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.report.suspects_page import LONGEST, render_suspects
from hscl_fast.evaluation.suspects import Suspect, Suspects
from hscl_fast.limited_file import read_limited
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.show import show_remarks
from hscl_fast.runs.suspects import read_suspects, require_ranked

TOP = 50  # images on the page after training
MOST_SHOWN = 1000  # images on a page, which a browser keeps in memory
_LARGEST = 64 << 20  # bytes of a summary


def suspects_page(suspects: Suspects, split: Split, data: DataConfig, run: Path, *, top: int = TOP) -> bytes:
    """Return the page that shows the first images of the ranking.

    They are shown as their files are; where images lie in arrays, as they were trained on.

    Parameters
    ----------
    suspects
        All unlabelled training images of the split.
    split, data
        The images, and the configuration that they were read with.
    run
        The run directory, for its name.
    top
        The number of images that are shown.
    """
    originals = originals_of(data, split.record.kind, split.decoding)
    places = {escaped(name): place for place, name in enumerate(split.training_names)}

    def picture(image: Suspect) -> Images:
        place = places.get(escaped(image.path))
        if place is None:
            raise BadImages([(image.path, "it is not among the training images")])
        if originals is not None:
            return originals.load(split.training_names[place], LONGEST)
        return split.training.images[place]

    return render_suspects(suspects, picture, top=top, run=run.absolute().name)


def suspects_of_run(
    path: str | Path, *, top: int = TOP, root: str | None = None, console: Console | None = None
) -> tuple[RunDirectory, Suspects]:
    """Return the suspects of a run, and write the page that shows the first of them.

    Parameters
    ----------
    path
        The directory of a trained and evaluated run.
    top
        The number of images on the page, 1 to 1,000.
    root
        Folder of the data, if it has moved: see :func:`hscl_fast.data.places.moved_to`.
    console
        Console for warnings about the data; None shows nothing.

    Raises
    ------
    UsageError
        It is not a trained and evaluated run, its images have changed or are not there, ``top`` is out of range, or the
        page cannot be written.
    """
    if not 1 <= top <= MOST_SHOWN:
        raise UsageError(f"--top is {top}, but must be between 1 and {MOST_SHOWN:,}. Give another number.")
    directory = RunDirectory(at_home(path))
    config = directory.load_config()
    require_ranked(config, directory)
    suspects = Suspects(_ranking(directory), read_suspects(directory))
    if root is not None:
        config = replace(config, data=moved_to(config.data, read_record(directory.split).kind, root))
    split = open_split(directory.recorded_data(config))
    if console is not None:
        show_remarks(split.remarks, console)
    page = suspects_page(suspects, split, config.data, directory.path, top=top)
    with RunLock(directory.path) as lock:
        lock.acquire()
        directory.require_no_way_out()
        try:
            write_bytes(directory.suspects_page, page)
        except OSError as error:
            raise UsageError(
                f"{directory.suspects_page} cannot be written: {error.strerror or error}. Free some space or make the "
                "folder writable."
            ) from error
    return directory, suspects


def _ranking(results: Results) -> str:
    """Return how the ranking came about, which the summary says."""
    again = f"hscl eval {shlex.quote(str(results.path))}"
    try:
        words = json.loads(read_limited(results.summary, _LARGEST))["suspects"]["ranking"]
    except FileNotFoundError as error:
        raise UsageError(f"{results.path} was not evaluated, so it has no suspects. Run `{again}`.") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        words = None
    if not isinstance(words, str):
        raise UsageError(
            f"{results.summary} does not say how the suspects are ranked: it was written by an earlier version, or the "
            f"run has no unlabelled training images, or it is damaged. Evaluate again with `{again} --overwrite`."
        )
    return words
