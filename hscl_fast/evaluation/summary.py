"""The figures of one evaluation: ``summary.json`` is the fields of :class:`Summary`."""

from __future__ import annotations

from dataclasses import dataclass

from hscl_fast.config.methods import HSCL
from hscl_fast.data.split.split import Counts
from hscl_fast.evaluation.about import About
from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.bootstrap import Interval
from hscl_fast.evaluation.candidates import Candidate
from hscl_fast.evaluation.decisions import Decisions
from hscl_fast.evaluation.metrics import Aupr
from hscl_fast.evaluation.standings import Standing, standings, verdict
from hscl_fast.evaluation.suspects import SuspectFigures


@dataclass(frozen=True)
class Summary:
    """The results of a trained network on its test images, and the data it was trained on.

    Attributes
    ----------
    data, normal_class
        The data set, and the name of its normal class.
    checkpoint, step
        The checkpoint that was evaluated, and its step.
    scoring, scoring_source, score_direction
        The score, why it is this one, in words, and the direction of all scores that users see.
    candidates
        The scores it was chosen among on held-out labelled images; empty if there was no choice.
    auroc, auroc_interval, auroc_mean, auroc_per_class, aupr, fpr95
        As in :class:`hscl_fast.evaluation.metrics.Detection`.
    threshold, threshold_source
        The decision threshold, an anomaly score, and what it was fitted on, in words.
    decisions
        The decisions at the threshold on the test images.
    held_out_auroc_best
        The AUROC on held-out labelled images that chose the best checkpoint.
    train_seconds
        Time spent in training, in seconds.
    views_per_second
        The median over the log rows, which slow first steps do not affect.
    score_images_per_second
        Test images scored per second.
    counts
        Images of each kind.
    baselines
        Simple detectors on the same split, by the names of :mod:`hscl_fast.evaluation.baselines.registry`.
    about
        When and where it was evaluated, and at which size.
    suspects
        How well the ranking in ``suspects.csv`` finds hidden anomalies; None without unlabelled training images.
    threshold_interval
        The threshold's 95 % interval, by bootstrap; None if it was set by hand, or fitted to a single image of a label.
    threshold_caution
        Why to be careful with it, in words; None if there is no reason.
    method
        ``hscl``, or the name of a comparator.
    recall_interval, false_alarm_interval
        The 95 % intervals of recall and false alarms on the test images; None without such images.
    """

    data: str
    normal_class: str
    checkpoint: str
    step: int
    scoring: str
    scoring_source: str
    candidates: list[Candidate]
    score_direction: str
    auroc: float | None
    auroc_interval: tuple[float, float] | None
    auroc_mean: float | None
    auroc_per_class: dict[str, float | None]
    aupr: Aupr
    fpr95: float | None
    threshold: float
    threshold_source: str
    decisions: Decisions
    held_out_auroc_best: float | None
    train_seconds: float
    views_per_second: float | None
    score_images_per_second: float | None
    counts: Counts
    baselines: dict[str, Baseline]
    about: About
    method: str = HSCL
    suspects: SuspectFigures | None = None
    threshold_interval: Interval | None = None
    threshold_caution: str | None = None
    recall_interval: Interval | None = None
    false_alarm_interval: Interval | None = None

    @property
    def standings(self) -> list[Standing]:
        """The run and the detectors it is compared with, best first."""
        note = "The time is that of training only."
        ours = Baseline(self.auroc, self.auroc_mean, self.train_seconds, "every training image", note)
        return standings(ours, self.baselines, method="hscl-fast" if self.method == HSCL else self.method)

    @property
    def verdict(self) -> str | None:
        """A sentence on who is best, or None if there is nothing to compare with."""
        return verdict(self.standings)

    @property
    def is_chance(self) -> bool:
        """Whether the AUROC cannot be told from chance: its interval holds one half."""
        return self.auroc_interval is not None and self.auroc_interval[0] <= 0.5 <= self.auroc_interval[1]

    @property
    def advice(self) -> str:
        """Where the AUROC is no better than chance: a sentence that says so, and what to try."""
        low, high = (100 * end for end in self.auroc_interval or (0.0, 1.0))
        return (
            f"no better than chance: the 95 % interval of the AUROC is {low:.0f} to {high:.0f} %. Try a larger "
            "--data.image_size if the images are larger, more labels, more steps, or another --evaluate.scoring"
        )
