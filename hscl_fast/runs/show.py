"""Shows a split before a run trains on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from hscl_fast.console import say, warn
from hscl_fast.data.split.duplicates import Duplicate, describe_duplicates
from hscl_fast.data.split.split import Counts, Split
from hscl_fast.data.types import Remark

if TYPE_CHECKING:  # `hscl data` does without torch, which takes seconds to import
    import torch


def show_split(split: Split, name: str, console: Console) -> None:
    """Print how the data was read, the number of images of each kind, and a warning about each kind that is missing."""
    show_remarks(split.remarks, console)
    if split.skipped:
        say(console, "skipped.csv in the run lists the files that cannot be read")
    counts, (height, width) = split.counts, split.training.images.shape[1:3]
    title = f"{name}, normal: {split.class_names[split.normal_class]}, {width}x{height} px"
    table = Table("images", "labelled normal", "unlabelled", "labelled abnormal", title=title)
    training = (counts.labelled_normal, counts.unlabelled, counts.labelled_abnormal)
    table.add_row("training", *(f"{count:,}" for count in training))
    table.add_row("held out", f"{counts.held_out_normal:,}", "", f"{counts.held_out_abnormal:,}")
    table.add_row("test (normal, abnormal)", f"{counts.test_normal:,}", "", f"{counts.test_abnormal:,}")
    console.print(table)
    if counts.pollution is not None:
        hidden = "is a hidden anomaly" if counts.pollution == 1 else "are hidden anomalies"
        say(console, f"{counts.pollution:,} of the unlabelled images {hidden} (unknown to training)")
    for warning in _warnings(counts):
        warn(console, warning)
    show_duplicates(split.duplicates, console, "report.html lists them")


def show_remarks(remarks: Sequence[Remark], console: Console, *, own: Sequence[str] = ()) -> None:
    """Print how the data was read, and as warnings what is doubtful about it.

    ``own`` names the fields of the data section that the command has as ``--name`` in place of ``--data.name``.
    """
    for remark in remarks:
        text = remark.text
        for name in own:
            text = text.replace(f"--data.{name}", f"--{name}")
        (warn if remark.doubt else say)(console, text)


def show_duplicates(duplicates: Sequence[Duplicate], console: Console, where: str | None = None) -> None:
    """Warn of pictures that are there twice; ``where`` says where all of them are listed."""
    if duplicates:
        warn(console, describe_duplicates(duplicates) + ("" if where is None else f" ({where})"))


def show_slow_precision(device: torch.device, precision: str, console: Console) -> None:
    """Warn of ``runtime.precision`` float16 on a CPU, where it is emulated."""
    if device.type == "cpu" and precision == "float16":
        warn(
            console,
            "float16 on a CPU is many times slower than float32 and no more exact: give --runtime.precision auto or "
            "float32",
        )


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
