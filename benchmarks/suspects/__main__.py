"""``python -m benchmarks.suspects RUN``: prints a table of what is found by looking at the first images."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.markdown import table
from benchmarks.suspects.left_out import of_scores
from benchmarks.suspects.rankings import Ranking, of_pixels, of_run

LOOKED_AT = (50, 100)


def main() -> None:
    """Compare the ranking of a run with random order and with detectors on pixels, or with that by other scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("RUN", type=Path, help="a trained and evaluated run")
    parser.add_argument("--truth", type=Path, help="file with the names of the hidden anomalies, one per line")
    parser.add_argument("--scores", action="store_true", help="compare scores that a ranking could be by")
    options = parser.parse_args()
    if options.scores:
        rankings = of_scores(options.RUN, options.truth)
    else:
        rankings = [of_run(options.RUN, options.truth), *of_pixels(options.RUN, options.truth)]
    hidden = rankings[0].hidden
    print(f"{len(hidden):,} unlabelled images, {hidden.sum():,} of them hidden anomalies\n")
    print(comparison(rankings))


def comparison(rankings: list[Ranking]) -> str:
    """Return the table: the share of hidden anomalies found, and the precision, of every ranking."""
    total, share = len(rankings[0].hidden), float(rankings[0].hidden.mean())
    head = ["ranking", *(f"found in {count}" for count in LOOKED_AT), "precision at hidden", "average precision"]
    body = [
        [
            ranking.title,
            *(_percent(ranking.found(count)) for count in LOOKED_AT),
            _percent(ranking.precision_at_hidden),
            _percent(ranking.average_precision),
        ]
        for ranking in rankings
    ]
    expected = [_percent(min(1.0, count / total)) for count in LOOKED_AT]
    body.append(["random order, expected", *expected, _percent(share), _percent(share)])
    best = [_percent(min(1.0, count / (share * total))) for count in LOOKED_AT]
    return table(head, [*body, ["best possible", *best, "100.0 %", "100.0 %"]])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
