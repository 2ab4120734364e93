"""Reads the results of an evaluation again: its summary and the scores of its test images."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hscl_fast.errors import UsageError
from hscl_fast.evaluation.convention import SCORE_DIRECTION
from hscl_fast.evaluation.summary import Summary
from hscl_fast.limited_file import read_limited
from hscl_fast.runs.directory import Results
from hscl_fast.strict_json import first_problem

_SUMMARY = TypeAdapter(Summary)
_LARGEST_SUMMARY, _LARGEST_TABLE = 16 << 20, 1 << 30  # bytes
_COLUMNS = ["path", "anomaly_score", "decision", "class"]


@dataclass(frozen=True, eq=False)
class TestScores:
    """What is in ``scores.csv``.

    Attributes
    ----------
    names, classes
        Of each test image; the bytes of a name that are not UTF-8 are escaped.
    anomaly_scores : float64 [m]
        Higher is more anomalous.
    """

    __test__ = False  # the name would make pytest collect the class

    names: tuple[str, ...]
    classes: tuple[str, ...]
    anomaly_scores: NDArray[np.float64]


def read_summary(results: Results) -> Summary:
    """Return the summary of an evaluation.

    Raises
    ------
    UsageError
        There is none, or it is damaged or of an older version.
    """
    again = f"Evaluate again with `hscl eval {shlex.quote(str(results.path))}`"
    try:
        plain = json.loads(read_limited(results.summary, _LARGEST_SUMMARY))
        summary: Summary = _SUMMARY.validate_python(plain)
    except FileNotFoundError as error:
        resume = f"`hscl train --out {shlex.quote(str(results.path))} --resume`"
        raise UsageError(
            f"{results.path} has no results: there is no {results.summary.name} in it. If its training was stopped, "
            f"continue it with {resume}. {again}, or leave it out."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise UsageError(
            f"{results.summary} is damaged, or of another version of hscl-fast: {reason}. {again} --overwrite."
        ) from error
    if summary.score_direction != SCORE_DIRECTION:
        raise UsageError(f"{results.summary} has scores of the other direction. {again} --overwrite.")
    return summary


def read_scores(results: Results) -> TestScores:
    """Return the scores of the test images of an evaluation.

    Raises
    ------
    UsageError
        There are none, or the table is damaged.
    """
    try:
        text = read_limited(results.scores, _LARGEST_TABLE).decode("utf-8")
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if header[:4] != _COLUMNS:
            raise ValueError(f"its header is not {','.join(_COLUMNS)}")
        if any(len(row) != len(header) for row in rows):
            raise ValueError("its rows are not all as long as its header")
        scores = [float(row[1]) for row in rows]
        if not all(map(math.isfinite, scores)):
            raise ValueError("a score is not a finite number")
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(
            f"{results.scores} cannot be read: {error}. Evaluate again with `hscl eval "
            f"{shlex.quote(str(results.path))} --overwrite`."
        ) from error
    return TestScores(tuple(row[0] for row in rows), tuple(row[3] for row in rows), np.array(scores, np.float64))
