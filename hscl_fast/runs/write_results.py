"""Writes the results of an evaluation: ``scores.csv``, ``summary.json`` and ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from hscl_fast.atomic import json_bytes, replacing, sync
from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import Config
from hscl_fast.data.split.duplicates import Duplicate
from hscl_fast.data.split.split import Counts
from hscl_fast.data.types import Remark
from hscl_fast.evaluation.about import About
from hscl_fast.evaluation.convention import SCORE_DIRECTION
from hscl_fast.evaluation.evaluate import Evaluation
from hscl_fast.evaluation.report.heat import Heat
from hscl_fast.evaluation.report.page import render_report
from hscl_fast.evaluation.report.scored import RankedImages, ScoredImages
from hscl_fast.evaluation.scores_csv import scores_csv
from hscl_fast.evaluation.summary import Summary
from hscl_fast.runs.calibration import Calibration
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.training.state import TrainingState

# The values that summary and calibration share.
_SHARED = {
    *("score_direction", "threshold", "threshold_source", "threshold_interval", "threshold_caution"),
    *("scoring", "checkpoint", "step"),
}


def summarise(
    directory: RunDirectory,
    config: Config,
    normal_class: str,
    counts: Counts,
    state: TrainingState,
    found: Evaluation,
    about: About,
) -> Summary:
    """Return the summary of an evaluation of a run; ``config`` has the data, the score and the checkpoint."""
    rates = [row["views_per_second"] for row in directory.read_metrics() if "views_per_second" in row]
    return Summary(
        data=config.data.name,
        method=config.method.name,
        normal_class=normal_class,
        checkpoint=config.evaluate.checkpoint,
        step=state.step,
        scoring=found.scoring.name,
        scoring_source=found.scoring_source,
        candidates=found.candidates,
        score_direction=SCORE_DIRECTION,
        **vars(found.detection),
        threshold=found.threshold.value,
        threshold_source=found.threshold.source,
        decisions=found.decisions,
        held_out_auroc_best=state.best_auroc,
        train_seconds=round(state.seconds, 3),
        views_per_second=round(float(np.median(rates)), 1) if rates else None,
        score_images_per_second=found.images_per_second,
        counts=counts,
        baselines=found.baselines,
        suspects=None if found.suspects is None else found.suspects.figures,
        about=about,
        threshold_interval=found.threshold.interval,
        threshold_caution=found.threshold.caution,
        recall_interval=found.intervals.recall_abnormal,
        false_alarm_interval=found.intervals.false_alarm_rate,
    )


def are_whole(results: Results, calibration: Calibration) -> bool:
    """Whether all results are there and the summary, which is written last, has the values of the calibration."""
    try:
        summary = json.loads(results.summary.read_text(encoding="utf-8"))
        same = {name: summary[name] for name in _SHARED} == calibration.model_dump(include=_SHARED)
    except (OSError, ValueError, TypeError, KeyError):
        return False
    ranked = "suspects" in summary and (summary["suspects"] is None or results.suspects.is_file())
    return same and ranked and results.scores.is_file() and results.report.is_file()


@contextmanager
def writing_results(
    results: Results,
    directory: RunDirectory,
    config: Config,
    summary: Summary,
    scored: ScoredImages,
    remarks: Sequence[Remark],
    duplicates: Sequence[Duplicate],
    more: Mapping[Path, bytes] | None = None,
    ranked: RankedImages | None = None,
    heat: Heat | None = None,
) -> Iterator[None]:
    """Write the results of an evaluation of a run; they take their places after the ``with`` block, or not at all.

    ``more`` has the contents of further files.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    classes = [scored.class_names[label] for label in scored.images.classes]
    table = scores_csv(scored.images.names, scored.anomaly_scores, summary.threshold, **{"class": classes})
    page = render_report(
        summary,
        scored,
        name=_name(results, directory),
        ranked=ranked,
        heat=heat,
        config=to_dict(config),
        history=directory.read_metrics(),
        remarks=remarks,
        duplicates=duplicates,
    )
    # The last to be opened takes its place first: the summary, by which whole results are known, is the last.
    contents = {
        results.summary: json_bytes(asdict(summary)),
        results.report: page,
        results.scores: table.encode(),
    }
    contents.update(more or {})
    with ExitStack() as stack:
        files = {stack.enter_context(replacing(path)): content for path, content in contents.items()}
        for file, content in files.items():
            file.write_bytes(content)
            sync(file)
        yield


def _name(results: Results, directory: RunDirectory) -> str:
    """Return the name of the run, and of an evaluation that is not its own."""
    run = directory.path.absolute().name
    return run if results.path == directory.path else f"{run}, evaluation {results.path.absolute().name}"
