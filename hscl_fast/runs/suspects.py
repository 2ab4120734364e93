"""Reads and writes ``suspects.csv``, the ranking of a run's unlabelled training images."""

from __future__ import annotations

import csv
import io
import math
import shlex

from hscl_fast.config.sections import Config
from hscl_fast.csv_text import csv_text
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.suspects import Suspect, Suspects
from hscl_fast.limited_file import read_limited
from hscl_fast.runs.directory import Results, RunDirectory

_COLUMNS = ("rank", "path", "suspicion", "anomaly_score", "weight", "uncertainty")
_TRUTH = "hidden_anomaly"
_WORDS = {"yes": True, "no": False}
_LARGEST = 1 << 30  # bytes


def require_ranked(config: Config, directory: RunDirectory) -> None:
    """Raise a :class:`UsageError` for a run of a method that ranks no suspects."""
    if not config.method.is_hscl:
        raise UsageError(
            f"{directory.path} is a run of --method {config.method.name}, which ranks no suspects: it would have to be "
            "trained again without each image. Give a run of hscl."
        )


def suspects_csv(suspects: Suspects) -> str:
    """Return the table, most suspicious first; the column ``hidden_anomaly`` is there where the truth is known."""
    known = bool(suspects.images) and suspects.images[0].hidden_anomaly is not None
    rows = []
    for image in suspects.images:
        weight = "" if image.weight is None else f"{image.weight:.6g}"
        figures = (f"{image.suspicion:.8g}", f"{image.anomaly_score:.8g}", weight, f"{image.uncertainty:.6g}")
        truth = ["yes" if image.hidden_anomaly else "no"] if known else []
        rows.append((image.rank, image.path, *figures, *truth))
    return csv_text([*_COLUMNS, *([_TRUTH] if known else [])], rows)


def read_suspects(results: Results) -> tuple[Suspect, ...]:
    """Return the images in an evaluation's ``suspects.csv``, most suspicious first.

    Paths are as they are in the file: bytes that are not UTF-8 are escaped.

    Raises
    ------
    UsageError
        There is no such file, or it is not one that a run has written.
    """
    path = results.suspects
    try:
        text = read_limited(path, _LARGEST).decode("utf-8")
        rows = [*csv.reader(io.StringIO(text, newline=""), strict=True)]
        return _parsed(rows)
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} does not exist: the run was not evaluated, or by an earlier version, or it has no unlabelled "
            f"training images. Evaluate it with `hscl eval {shlex.quote(str(results.path))}`."
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        again = f"hscl eval {shlex.quote(str(results.path))} --overwrite"
        raise UsageError(f"{path} is damaged: {reason}. Write it again with `{again}`.") from error


def _parsed(rows: list[list[str]]) -> tuple[Suspect, ...]:
    header = tuple(rows[0]) if rows else ()
    if header not in (_COLUMNS, (*_COLUMNS, _TRUTH)):
        raise ValueError(f"its header is {','.join(header)!r:.200}, expected {','.join(_COLUMNS)}")
    found = []
    for rank, row in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise ValueError(f"row {rank} has {len(row)} fields, the header {len(header)}")
        found.append(_suspect(rank, row))
    return tuple(found)


def _suspect(rank: int, row: list[str]) -> Suspect:
    number, path, suspicion, score, weight, uncertainty, *truth = row
    if number != str(rank):
        raise ValueError(f"row {rank} has the rank {number!r:.50}")
    if truth and truth[0] not in _WORDS:
        raise ValueError(f"row {rank} has the {_TRUTH} {truth[0]!r:.50}, expected yes or no")
    return Suspect(
        rank,
        path,
        _number(rank, suspicion),
        _number(rank, score),
        _number(rank, weight) if weight else None,
        _number(rank, uncertainty),
        _WORDS[truth[0]] if truth else None,
    )


def _number(rank: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"row {rank} has {text!r:.50}, expected a number")
    return value
