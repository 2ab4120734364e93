"""Compares runs by their results, without scoring again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hscl_fast.config.parsing import to_dict
from hscl_fast.data.paths import at_home
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.comparison import EvaluatedRun
from hscl_fast.evaluation.report.compare_page import render_comparison
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.runs.output_files import require_writable, write_output
from hscl_fast.runs.read_results import read_scores, read_summary


def compare_runs(
    paths: Sequence[str | Path], out: str | Path | None = None, *, overwrite: bool = False
) -> list[EvaluatedRun]:
    """Read the results of some runs, and perhaps write a page that compares them.

    Parameters
    ----------
    paths
        Two run directories or more; or evaluations of runs, ``RUN/evaluations/NAME``.
    out
        The HTML page to write; None: none.
    overwrite
        Whether ``out`` may be replaced.

    Raises
    ------
    UsageError
        There are fewer than two, one is given twice, is no run or has no results, or the page cannot be written.
    """
    given = [at_home(path) for path in paths]
    _require_several(given)
    if out is not None:
        require_writable("--out", at_home(out), overwrite=overwrite, kind="HTML page")
    runs = [_read(path, name) for path, name in zip(given, _names(given), strict=True)]
    if out is not None:
        write_output("--out", at_home(out), render_comparison(runs))
    return runs


def _require_several(paths: Sequence[Path]) -> None:
    if len(paths) < 2:
        raise UsageError(f"`hscl compare` was given {paths[0]} alone. Give two or more runs to compare.")
    twice = [path for path, times in Counter(map(os.path.realpath, paths)).items() if times > 1]
    if twice:
        raise UsageError(f"The run {twice[0]} is given twice. Give each run once.")


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the last parts of the paths, or the whole paths if two have the same."""
    names = [path.absolute().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _read(path: Path, name: str) -> EvaluatedRun:
    directory, results = _places(path)
    config = directory.load_config()
    summary, scores = read_summary(results), read_scores(results)
    return EvaluatedRun(
        name=name,
        summary=summary,
        test=tuple(zip(scores.names, scores.classes, strict=True)),
        abnormal=np.array([label != summary.normal_class for label in scores.classes], np.bool_),
        anomaly_scores=scores.anomaly_scores,
        history=directory.read_metrics(),
        config=to_dict(config),
    )


def _places(path: Path) -> tuple[RunDirectory, Results]:
    """Return the run of a path, and where the results are: in it, or in one of its evaluations."""
    directory, whole = RunDirectory(path), path.absolute()
    if not directory.is_run and whole.parent.name == directory.evaluations.name:
        run = RunDirectory(whole.parents[1])
        if run.is_run:
            return run, run.evaluation(whole.name)
    return directory, directory
