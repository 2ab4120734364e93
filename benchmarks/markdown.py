"""Helpers for the tables of all suites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def machine(results: dict[str, Any]) -> str:
    """Return a sentence with the machine, the versions and the date of pytest-benchmark's ``results``."""
    info, commit = results["machine_info"], results["commit_info"]
    versions = ", ".join(f"{package} {number}" for package, number in info["versions"].items() if number)
    gpu = f", {info['gpu']}" if info["gpu"] else ""
    changed = ", with uncommitted changes" if commit["dirty"] else ""
    return (
        f"{info['cpu']['brand_raw']}, {info['threads']} threads{gpu}; Python {info['python_version']}, "
        f"{versions}; commit {commit['id'][:9]}{changed}, {results['datetime'][:10]}."
    )


def number(value: float) -> str:
    """Return a number with three significant digits or more."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def spread(quartiles: Sequence[float], rounds: int) -> str:
    """Return a median with its quartiles and the number of rounds they are of."""
    low, median, high = map(number, quartiles)
    return f"{median} ({low}-{high}; {rounds})"


def ratio_verdict(met: bool, ratio: float) -> str:
    """Return whether a target was met, and by what ratio."""
    return f"{'met' if met else 'missed'} ({ratio:.2f}x)"


def targets(sentences: Iterable[str]) -> str:
    """Return the list of targets, each with whether it was met."""
    return "\n".join(["Targets:", "", *(f"- {sentence}" for sentence in sentences)])


def table(head: list[str], body: list[list[str]], words: int = 1) -> str:
    """Return a table whose columns but the first ``words`` are numbers."""
    lines = [head, [*["---"] * words, *["---:"] * (len(head) - words)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replaced(page: str, name: str, text: str, command: str = "make bench") -> str:
    """Return ``page`` with ``text`` between the two markers of ``name``, the first of which names ``command``."""
    begin, end = f"<!-- {name}: written by {command} -->", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"the page lacks the line {begin!r} or, after it, {end!r}: add both where the tables belong")
    return f"{before}{begin}\n{text}\n{end}{after}"
