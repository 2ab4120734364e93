"""Shows a split before a run trains on it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from hscl_fast.console import say, warn
from hscl_fast.data.split.split import Counts, Split


def show_split(split: Split, name: str, console: Console) -> None:
    """Print the number of images of each kind, and a warning about each kind that is missing."""
    counts, (height, width) = split.counts, split.training.images.shape[1:3]
    title = f"{name}, normal: {split.class_names[split.normal_class]}, {width}x{height} px"
    table = Table("images", "labelled normal", "unlabelled", "labelled abnormal", title=title)
    training = (counts.labelled_normal, counts.unlabelled, counts.labelled_abnormal)
    table.add_row("training", *(f"{count:,}" for count in training))
    table.add_row("held out", f"{counts.held_out_normal:,}", "", f"{counts.held_out_abnormal:,}")
    table.add_row("test (normal, abnormal)", f"{counts.test_normal:,}", "", f"{counts.test_abnormal:,}")
    console.print(table)
    if counts.pollution is not None:
        say(
            console,
            f"{counts.pollution:,} of the unlabelled images are hidden anomalies (unknown to training)",
        )
    for warning in _warnings(counts):
        warn(console, warning)


def _warnings(counts: Counts) -> list[str]:
    warnings = []
    if not counts.labelled_normal:
        warnings.append("no labelled normal images in training: normality is learned from the unlabelled ones alone")
    if not counts.labelled_abnormal:
        warnings.append("no labelled anomalies in training: the normal-to-abnormal term is always 0")
    if not counts.unlabelled:
        warnings.append("no unlabelled images in training")
    if not (counts.held_out_normal and counts.held_out_abnormal):
        warnings.append(
            "the held-out images lack labelled normals or anomalies: no best checkpoint, and a rougher threshold"
        )
    if not (counts.test_normal and counts.test_abnormal):
        warnings.append("the test set lacks normal or abnormal images: no AUROC can be computed")
    return warnings
