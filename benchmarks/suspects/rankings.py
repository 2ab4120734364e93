"""The rankings that are compared, each an order of the same unlabelled images, and the truth about these."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hscl_fast.csv_text import escaped
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import UNLABELLED, take
from hscl_fast.evaluation.baselines.pixels import PIXEL_DETECTORS, pixel_baselines
from hscl_fast.evaluation.metrics import Detection, detection_metrics
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.suspects import read_suspects

Flags = NDArray[np.bool_]

_UNKNOWN = "the run does not know the truth of its unlabelled images: give --truth FILE"


@dataclass(frozen=True)
class Ranking:
    """Unlabelled images in an order, most suspicious first.

    Attributes
    ----------
    title
        What ranks them.
    hidden : bool [n]
        True for the hidden anomalies.
    """

    title: str
    hidden: Flags

    def found(self, looked_at: int) -> float:
        """Return the share of all hidden anomalies that are among the first images."""
        return float(self.hidden[:looked_at].sum() / self.hidden.sum())

    @property
    def precision_at_hidden(self) -> float:
        """The share of anomalies among the first images, as many as there are hidden anomalies."""
        return float(self.hidden[: self.hidden.sum()].mean())

    @property
    def average_precision(self) -> float:
        """The mean of the precision at the place of every hidden anomaly."""
        return float((np.cumsum(self.hidden) / np.arange(1, len(self.hidden) + 1))[self.hidden].mean())


def of_run(run: Path, truth: Path | None) -> Ranking:
    """Return the ranking in ``suspects.csv`` of a run.

    Parameters
    ----------
    run
        The run directory.
    truth
        A file with the name of one hidden anomaly per line; None takes the column ``hidden_anomaly``.
    """
    images = read_suspects(RunDirectory(run))
    listed = None if truth is None else truth.read_text(encoding="utf-8").split()
    if listed is None and images[0].hidden_anomaly is None:
        raise SystemExit(_UNKNOWN)
    if listed is None:
        return Ranking("hscl suspects", np.array([bool(image.hidden_anomaly) for image in images]))
    return Ranking("hscl suspects", _listed([image.path for image in images], listed))


def of_pixels(run: Path, truth: Path | None) -> list[Ranking]:
    """Return the rankings of scikit-learn's detectors on the pixels of a run's images.

    They are trained as those of every report are, on the training images and their labels, and rank the same images.
    """
    directory = RunDirectory(run)
    config = directory.load_config()
    split = in_memory(open_split(directory.recorded_data(config)))
    roles = split.training.roles
    unlabelled = take(split.training.images, roles == UNLABELLED)
    hidden = truth_of(split, truth)[1]
    scores: list[NDArray[np.float64]] = []

    def measure(found: NDArray[np.float64]) -> Detection:
        scores.append(found)
        return detection_metrics(found, hidden, hidden.astype(np.int64), ["normal", "abnormal"], 0)

    found = pixel_baselines(split.training.images, roles, unlabelled, measure, seed=config.data.seed)
    titles = [f"{PIXEL_DETECTORS[name].title}, pixels" for name, result in found.items() if result.auroc is not None]
    orders = [np.argsort(each, kind="stable") for each in scores]  # a lower score is more anomalous
    return [Ranking(title, hidden[order]) for title, order in zip(titles, orders, strict=True)]


def truth_of(split: Split, truth: Path | None) -> tuple[list[str], Flags]:
    """Return the names of a split's unlabelled images, and which of them are hidden anomalies."""
    roles = split.training.roles
    names = [name for name, role in zip(split.training_names, roles, strict=True) if role == UNLABELLED]
    if truth is not None:
        return names, _listed(names, truth.read_text(encoding="utf-8").split())
    if split.hidden_anomalies is None:
        raise SystemExit(_UNKNOWN)
    return names, split.hidden_anomalies


def _listed(names: list[str], listed: list[str]) -> Flags:
    """Return which images are in a list of names, with or without their folders."""
    wanted = set(listed)
    found = np.array([escaped(name) in wanted or PurePosixPath(name).name in wanted for name in names])
    if found.sum() != len(wanted):
        raise SystemExit(f"of {len(wanted)} names in the truth {found.sum()} are unlabelled images of the run")
    return found
