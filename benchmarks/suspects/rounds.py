"""``python -m benchmarks.suspects.rounds RUN OUT``: what rounds of labelling are worth, with the truth as the person.

Each round labels the first images of `hscl review` by the truth and trains with `hscl train --from --data.labels`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.markdown import table
from hscl_fast.evaluation.suspects import Suspect
from hscl_fast.review.order import RULES, in_order
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.suspects import read_suspects


def main() -> None:
    """Label, train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("RUN", type=Path, help="a trained and evaluated run, which is left as it is")
    parser.add_argument("OUT", type=Path, help="new folder for the labels and the runs of the rounds")
    parser.add_argument("--truth", type=Path, help="file with the names of the hidden anomalies, one per line")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--labels", type=int, default=50, help="images that are looked at in a round")
    parser.add_argument("--order", choices=[*RULES], default="mixed")
    options, flags = parser.parse_known_args()
    truth = None if options.truth is None else set(options.truth.read_text(encoding="utf-8").split())
    options.OUT.mkdir(parents=True)
    run, rows = options.RUN, [_row("before", options.RUN, 0, 0)]
    looked = found = 0
    for number in range(1, options.rounds + 1):
        shown = in_order(read_suspects(RunDirectory(run)), options.order, options.labels)
        anomalies = [_is_anomaly(image, truth) for image in shown]
        looked, found = looked + len(shown), found + sum(anomalies)
        labels = options.OUT / f"labels-{number}.csv"
        _write_labels(labels, shown, anomalies)
        out = options.OUT / f"round-{number}"
        subprocess.run(
            [
                *(sys.executable, "-m", "hscl_fast", "train", "--from", str(run)),
                *("--data.labels", str(labels), "--out", str(out), *flags),
            ],
            check=True,
        )
        run = out
        rows.append(_row(f"after round {number}", run, looked, found))
    print(table(["", "looked at", "hidden anomalies found", "AUROC, test images"], rows))


def _is_anomaly(image: Suspect, truth: set[str] | None) -> bool:
    if truth is not None:
        return PurePosixPath(image.path).name in truth
    if image.hidden_anomaly is None:
        raise SystemExit("the run does not know the truth of its unlabelled images: give --truth FILE")
    return image.hidden_anomaly


def _write_labels(path: Path, images: list[Suspect], anomalies: list[bool]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for image, anomaly in zip(images, anomalies, strict=True):
            rows.writerow([image.path, "abnormal" if anomaly else "normal"])


def _row(title: str, run: Path, looked: int, found: int) -> list[str]:
    summary: dict[str, Any] = json.loads(RunDirectory(run).summary.read_text(encoding="utf-8"))
    auroc = summary["auroc_mean"] or summary["auroc"]
    return [title, str(looked), str(found), f"{100 * auroc:.1f} % by {summary['scoring']}"]


if __name__ == "__main__":
    main()
