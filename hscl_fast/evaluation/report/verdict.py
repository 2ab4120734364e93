"""What a report says first: whether the run is better than chance, and than simple detectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hscl_fast.evaluation.standings import lead
from hscl_fast.evaluation.summary import Summary

Mood = Literal["good", "unsure", "bad"]


@dataclass(frozen=True)
class Statement:
    """An answer to one question.

    Attributes
    ----------
    question, answer, detail
        In words; ``answer`` is one or a few.
    mood
        Its colour and sign.
    """

    question: str
    answer: str
    detail: str
    mood: Mood


def statements(summary: Summary) -> list[Statement]:
    """Return the answers, in their order."""
    if summary.auroc is None:
        return [_untested(summary)]
    return [_chance(summary), _peers(summary)]


def _untested(summary: Summary) -> Statement:
    counts = summary.counts
    return Statement(
        "Is it any good?",
        "Not measured",
        f"That takes normal and abnormal test images, and there are {counts.test_normal:,} and "
        f"{counts.test_abnormal:,}. Test the run on images of both kinds with hscl eval RUN --data FOLDER --out NEW.",
        "unsure",
    )


def _chance(summary: Summary) -> Statement:
    question, value = "Better than chance?", f"AUROC {100 * (summary.auroc or 0):.1f} %"
    if summary.auroc_interval is None:
        return Statement(question, "Cannot be told", f"{value}, of too few test images for an interval.", "unsure")
    low, high = (100 * end for end in summary.auroc_interval)
    found = f"{value} (95 % interval {low:.1f} to {high:.1f} %); 50 % is chance."
    if summary.is_chance:
        return Statement(question, "Not shown", f"This run is {summary.advice}.", "bad")
    if high < 50:
        advice = "Normal images look more anomalous than the anomalies: look at the labels of both."
        return Statement(question, "Worse", f"{found} {advice}", "bad")
    return Statement(question, "Yes", found, "good")


def _peers(summary: Summary) -> Statement:
    question, found = "Better than simple detectors?", lead(summary.standings)
    if found is None:
        return Statement(question, "Not compared", "None of them was run: the table below says why.", "unsure")
    ahead = f"{abs(found.points):.1f} points of AUROC {'above' if found.points > 0 else 'below'} the best of them"
    if found.interval is None:
        return Statement(question, "Cannot be told", f"{ahead}, {found.over.full_title}.", "unsure")
    low, high = found.interval
    detail = f"{ahead}, {found.over.full_title} (95 % interval of the difference {low:+.1f} to {high:+.1f})."
    if low > 0:
        return Statement(question, "Yes", detail, "good")
    if high < 0:
        return Statement(question, "No", detail, "bad")
    return Statement(question, "Cannot be told", detail, "unsure")
