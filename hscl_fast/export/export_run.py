"""Exports a trained run as one file, and leaves no file that does not score as the run does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console

import hscl_fast
from hscl_fast.atomic import replacing
from hscl_fast.console import say, silent
from hscl_fast.csv_text import escaped
from hscl_fast.data.new_images import NewImage
from hscl_fast.data.open import open_split
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.convention import SCORE_DIRECTION
from hscl_fast.export.footprint import peak_memory
from hscl_fast.export.formats import FORMATS, Format, Model
from hscl_fast.export.graph import trace
from hscl_fast.export.images import choose_images, given_images
from hscl_fast.export.installed import require_installed
from hscl_fast.export.parity import Parity, compare, require_equal
from hscl_fast.export.recorded import recorded_scores
from hscl_fast.export.reference import Reference
from hscl_fast.export.side_by_side import SideBySide, score_side_by_side
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.runs.output_files import require_writable, unwritable
from hscl_fast.runs.score_new import decoding_of


class Export(NamedTuple):
    """The result of :func:`export_run`.

    Attributes
    ----------
    path, size, runtime
        The file, its bytes, and what scores with it.
    calibration
        The score and the threshold that it has.
    part
        The images that it was compared on, in words.
    parity, both
        How its scores compare with those of the run in float32; the scores, and the speed of both.
    recorded, precision
        How they compare with the scores in the run's ``scores.csv``, or None where these are of other images; and the
        run's ``runtime.precision``.
    threads
        The number of threads of both.
    our_memory, their_memory
        Peak bytes of a process of its own that scores a batch; None where that was not measured.
    """

    path: Path
    size: int
    runtime: str
    calibration: Calibration
    part: str
    parity: Parity
    both: SideBySide
    recorded: Parity | None
    precision: str
    threads: int
    our_memory: int | None
    their_memory: int | None


def export_run(
    path: str | Path,
    out: str | Path,
    *,
    evaluation: str | None = None,
    images: Sequence[NewImage] | None = None,
    root: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Export:
    """Write a run's detector into one file that takes images of any size, and compare it with the run.

    The file is scored, as it was written, on up to 100 images at their own sizes: those given, or the run's test
    images, else those held out, else those trained on. Unless every score equals the run's in float32 up to 1e-4, and
    every decision does, no file is left.

    Parameters
    ----------
    path
        The directory of a trained and evaluated run, which stays as it is.
    out
        The file, written atomically: ``.onnx`` or ``.pt2``, a program of ``torch.export``.
    evaluation
        The name of an evaluation in ``RUN/evaluations``, whose score and threshold are used; None: the run's own.
    images
        The images to compare on; None: those of the run, whose data is opened.
    root
        Folder of the data, if it has moved: see :func:`hscl_fast.data.places.moved_to`; None: as trained.
    overwrite
        Whether an existing file may be replaced.
    console
        Console for progress; None shows nothing.

    Raises
    ------
    UsageError
        The run is not usable, its data is not there, ``out`` exists or cannot be written, a package is missing, the
        encoder cannot be exported, or the export does not score as the run does.
    """
    directory, out = RunDirectory(at_home(path)), at_home(out)
    console = silent() if console is None else console
    kind = _format(out)
    require_installed(kind.packages, out.suffix)
    require_writable("--out", out, overwrite=overwrite, kind=f"{out.suffix} file")
    config = directory.load_config()
    if images is None:
        _require_images(directory)
    elif root is not None:
        raise UsageError(
            f"--root {root} says where the images of the run are, but --images takes others. Leave one of them out."
        )
    if root is not None:
        config = replace(config, data=moved_to(config.data, read_record(directory.split).kind, root))
    prepare_backends(config.runtime)
    reference = Reference.load(directory, config, evaluation)
    if images is None:
        chosen = choose_images(open_split(directory.recorded_data(config), resized=False))
    else:
        chosen = given_images(images, decoding_of(config, reference.calibration))
    say(console, f"writing {out}, which takes about half a minute")
    program = trace(reference.scoring, reference.threshold)
    content = kind.content(program, describe(directory, reference, evaluation))
    threads = torch.get_num_threads()
    try:
        with replacing(out) as temporary:
            temporary.write_bytes(content)
            both = score_side_by_side(reference, _loaded(kind, temporary, threads), chosen, console)
            parity = compare(both.ours, both.theirs, both.abnormal, reference.threshold)
            require_equal(parity)
    except OSError as error:
        raise unwritable("--out", out, error) from error
    results: Results = directory if evaluation is None else directory.evaluation(evaluation)
    recorded = recorded_scores(results, chosen.names) if chosen.names else None
    batch = next(chosen.batches())
    run = [str(directory.path), *([] if evaluation is None else [evaluation])]
    return Export(
        path=out,
        size=len(content),
        runtime=kind.runtime,
        calibration=reference.calibration,
        part=chosen.part,
        parity=parity,
        both=both,
        recorded=None if recorded is None else compare(recorded, both.theirs, both.abnormal, reference.threshold),
        precision=config.runtime.precision,
        threads=threads,
        our_memory=peak_memory(batch, "run", run, threads),
        their_memory=peak_memory(batch, out.suffix, [out], threads),
    )


def _require_images(directory: RunDirectory) -> None:
    if not directory.split.exists():
        raise UsageError(
            f"{directory.path} has no {directory.split.name} that names its images, because HSCLDetector.save keeps "
            "none, and an export is compared with the run on some. Give --images with files or a folder of images like "
            "those it was trained on."
        )


def describe(directory: RunDirectory, reference: Reference, evaluation: str | None) -> dict[str, str]:
    """Return what is said of an exported detector inside of its file; a saved one does not know its classes."""
    calibration = reference.calibration
    record = read_record(directory.split) if directory.split.exists() else None
    names = () if record is None else record.class_names
    classes = {} if record is None else {"normal_class": names[record.normal_class], "classes": ", ".join(names)}
    said = {
        "producer": f"hscl-fast {hscl_fast.__version__}",
        "run": directory.path.absolute().name,
        "evaluation": evaluation or "the run's own",
        **classes,
        "input": "images: uint8 [batch, height, width, 3], red, green and blue, of any size",
        "image_size": str(calibration.image_size),
        "scoring": calibration.scoring,
        "checkpoint": f"{calibration.checkpoint}, step {calibration.step}",
        "threshold": repr(reference.threshold),
        "score_direction": SCORE_DIRECTION,
    }
    return {key: escaped(text) for key, text in said.items()}


def _loaded(kind: Format, path: Path, threads: int) -> Model:
    try:
        return kind.load(path, threads)
    except Exception as error:  # of a runtime that lacks an operation, whatever it raises
        reason = " ".join(str(error).split())[:300]
        raise UsageError(
            f"{kind.runtime} cannot load the exported model, so no file is written: {reason}. Export the other kind of "
            "file, .onnx or .pt2, or train with another --model.encoder, such as resnet18."
        ) from error


def _format(out: Path) -> Format:
    if out.suffix not in FORMATS:
        raise UsageError(
            f"--out is {str(out)!r}, but its ending says what is written: {' or '.join(FORMATS)}. Give a name such as "
            "model.onnx, or model.pt2 for torch.export."
        )
    return FORMATS[out.suffix]
