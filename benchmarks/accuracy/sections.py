"""The Markdown of one table of trials."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from benchmarks.accuracy.results import Record
from benchmarks.accuracy.settings import (
    Setting,
    accuracy,
    by_setting,
    lead_of,
    of_trial,
    pairs_of,
    peers_of,
)
from benchmarks.accuracy.statistics import DATA_SETS, PAIRS, may_change_default, paired_difference
from benchmarks.markdown import number, table
from hscl_fast.many_runs.means import Mean, mean_of

HEAD = [
    *("trial", "AUROC, %", "pooled, %", "above the best peer", "training, s", "total, s", "CPU, s"),
    *("views", "training PFLOP"),
]


def section(title: str, trials: Sequence[str], records: Sequence[Record]) -> str:
    """Return the heading, the machine, a table for each setting, and the paired differences.

    Parameters
    ----------
    title
        Heading of the section.
    trials
        Names of the trials in order; the first is the reference.
    records
        The runs of the table.
    """
    parts = [f"### {title}", _machines(records)]
    in_order = sorted(records, key=lambda record: trials.index(record["trial"]))
    for setting, some in by_setting(in_order).items():
        parts += [f"**{setting.title}**{_classes(some)}", _accuracies(trials, some)]
    parts += [*_differences(trials, in_order), *_pollution(trials, in_order)]
    return "\n\n".join(parts)


def _machines(records: Sequence[Record]) -> str:
    kinds = sorted({f"{', '.join(r['devices']) or r['cpu']}, {_threads(r['threads'])}" for r in records})
    versions = ", ".join(sorted({f"torch {record['torch']}" for record in records}))
    commits = ", ".join(sorted({(record["commit"] or "unknown")[:9] for record in records}))
    dates = sorted({record["date"] for record in records})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    load = max(record["load_average"] for record in records)
    return (
        f"{len(records)} runs on {' and '.join(kinds)}; load average up to {load:.0f}; {versions}; commit {commits}; "
        f"{when}."
    )


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _classes(records: Sequence[Record]) -> str:
    classes = sorted({record["normal_class"] for record in records if record["normal_class"] is not None})
    return f"; normal classes {', '.join(map(str, classes))}" if classes else ""


def _accuracies(trials: Sequence[str], records: Sequence[Record]) -> str:
    body = [_trial_row(trial, runs) for trial in trials if (runs := of_trial(records, trial))]
    peers = sorted(peers_of(records).items(), key=lambda item: -_mean(item[1]))
    return table(HEAD, body + [_peer_row(name, figures) for name, figures in peers])


def _mean(figures: Sequence[Record]) -> float:
    return mean(value for one in figures if (value := accuracy(one)) is not None)


def _trial_row(trial: str, runs: Sequence[Record]) -> list[str]:
    leads = [lead for run in runs if (lead := lead_of(run)) is not None]
    return [
        trial,
        _percent(runs),
        _pooled(runs),
        signed(mean_of(leads)) if leads else "",
        number(mean(run["train_seconds"] for run in runs)),
        number(mean(run["total_seconds"] for run in runs)),
        number(mean(run["cpu_seconds"] for run in runs)),
        f"{mean(run['views'] for run in runs):,.0f}",
        f"{mean(run['training_flops'] for run in runs) / 1e15:.3g}",
    ]


def _peer_row(name: str, figures: Sequence[Record]) -> list[str]:
    seconds = number(mean(figure["seconds"] for figure in figures))
    return [f"*{name.replace('_', ' ')}*", _percent(figures), _pooled(figures), "", "", seconds, "", "", ""]


def _percent(figures: Sequence[Record]) -> str:
    found = mean_of([value for one in figures if (value := accuracy(one)) is not None])
    interval = "" if found.half_width is None else f" ± {found.half_width:.1f}"
    return f"{found.value:.1f}{interval} ({found.n})"


def _pooled(figures: Sequence[Record]) -> str:
    values = [100 * one["auroc"] for one in figures if one["auroc"] is not None]
    return f"{mean(values):.1f}" if values else ""


def signed(found: Mean) -> str:
    """Return a difference with its interval and its number of pairs; bold where 0 is outside of the interval."""
    interval = "" if found.half_width is None else f" ± {found.half_width:.1f}"
    text = f"{found.value:+.1f}{interval}"
    return f"{f'**{text}**' if found.sign else text} ({found.n})"


def _differences(trials: Sequence[str], records: Sequence[Record]) -> list[str]:
    """Return the paired differences of every trial to the first, if there are others."""
    reference, settings = trials[0], by_setting(records)
    found: dict[str, dict[Setting, Mean]] = {trial: {} for trial in trials[1:]}
    for trial, differences in found.items():
        for setting, some in settings.items():
            ours, theirs = (pairs_of(of_trial(some, name)) for name in (trial, reference))
            if (difference := paired_difference(ours, theirs)) is not None:
                differences[setting] = difference
    columns = [setting for setting in settings if any(setting in differences for differences in found.values())]
    if not columns:
        return []
    body = []
    for trial, differences in found.items():
        if differences:
            change = _change(next(record["change"] for record in records if record["trial"] == trial))
            cells = [signed(differences[setting]) if setting in differences else "" for setting in columns]
            enough = "yes" if may_change_default(_pairs_by_data(trial, reference, records)) else "no"
            body.append([trial, change, *cells, enough])
    head = ["trial", "its changes", *(setting.short for setting in columns), "enough to change a default"]
    return [
        f"**Points against {reference}: everything that was tried, also what did not help**",
        table(head, body, words=2),
        "Differences between runs of the same normal class and seed, in brackets their number; bold where the 95 % "
        f"interval leaves out 0. *Enough* is {PAIRS} of these pairs or more on {DATA_SETS} data sets or more.",
    ]


def _pairs_by_data(trial: str, reference: str, records: Sequence[Record]) -> dict[str, int]:
    """Return the number of pairs of a class and a seed that a trial and the reference have on each data set."""
    pairs: dict[str, set[tuple[int | None, int]]] = {}
    for setting, some in by_setting(records).items():
        ours, theirs = (pairs_of(of_trial(some, name)).keys() for name in (trial, reference))
        pairs.setdefault(setting.data, set()).update(ours & theirs)
    return {data: len(found) for data, found in pairs.items()}


def _change(change: dict[str, dict[str, Any]]) -> str:
    return ", ".join(
        f"`{section}.{name} {value}`" for section, fields in change.items() for name, value in fields.items()
    )


def _pollution(trials: Sequence[str], records: Sequence[Record]) -> list[str]:
    """Return what hidden anomalies cost each trial that was run without any as well."""
    settings = by_setting(records)
    body = []
    for trial in trials:
        for setting, some in settings.items():
            if not setting.pollution_ratio:
                continue
            clean = settings.get(setting._replace(pollution_ratio=0.0), [])
            ours, theirs = (pairs_of(of_trial(runs, trial)) for runs in (some, clean))
            difference = paired_difference(ours, theirs)
            if difference is not None:
                body.append([trial, setting.title, signed(difference)])
    head = ["trial", "setting", "points against gamma_p 0"]
    return ["**What pollution costs**", table(head, body, words=2)] if body else []
