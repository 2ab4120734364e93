"""The README's table: one row of each suite, ours beside a peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks import step_table
from benchmarks.markdown import number, table
from benchmarks.peers import OURS, RELEASED
from benchmarks.view_peers import OURS_DRAWN

Results = dict[str, dict[str, Any]]  # pytest-benchmark's, by suite


class Row(NamedTuple):
    """``measure`` returns ours and the peer's figure; ``more`` says whether a higher figure is better."""

    suite: str
    what: str
    peer: str
    measure: Callable[[list[dict[str, Any]]], tuple[float, float]]
    unit: str
    more: bool = False


def _objective(rows: int, key: str) -> Callable[[list[dict[str, Any]]], tuple[float, float]]:
    def measure(infos: list[dict[str, Any]]) -> tuple[float, float]:
        variants = next(info["variants"] for info in infos if info["rows"] == rows)
        ours, peer = variants[OURS], variants[RELEASED]
        if key == "memory":
            return ours[key] / 2**20, peer[key] / 2**20
        return 1e3 * ours[key][1], 1e3 * peer[key][1]

    return measure


def _views(infos: list[dict[str, Any]]) -> tuple[float, float]:
    info = next(info for info in infos if info["side"] == 32)
    ours, peer = (info["views"] / info["variants"][name]["forward"][1] for name in (OURS_DRAWN, "kornia"))
    return ours, peer


def _loader(infos: list[dict[str, Any]]) -> tuple[float, float]:
    info = next(info for info in infos if (info["cache"], info["pixels"]) == ("warm", 224))
    names = ("ffcv, raw", "DataLoader over PNG files, 2 workers")
    ours, peer = (info["images"] / info["variants"][name][1] for name in names)
    return ours, peer


def _step(infos: list[dict[str, Any]]) -> tuple[float, float]:
    names = (step_table.OURS, step_table.RELEASED)
    ours, peer = (1e3 * infos[0]["variants"][name]["total"][1] for name in names)
    return ours, peer


ROWS = (
    Row("objective", "objective, 4,096 rows", "released code", _objective(4096, "total"), "ms"),
    Row("objective", "its extra memory, 16,384 rows", "released code", _objective(16384, "memory"), "MiB"),
    Row("views", "views of 32 px", "kornia", _views, "views/s", more=True),
    Row("loaders", "batches of 224 px, warm, FFCV", "DataLoader", _loader, "images/s", more=True),
    Row("training_step", "whole training step", "released code", _step, "ms"),
)


def section(results: Results) -> str:
    """Return the table, with the reason why a whole step gains nothing."""
    body = []
    for row in ROWS:
        ours, peer = row.measure([benchmark["extra_info"] for benchmark in results[row.suite]["benchmarks"]])
        ratio = ours / peer if row.more else peer / ours
        cells = [f"{number(ours)} {row.unit}", f"{row.peer}: {number(peer)}", f"{ratio:.1f}x", f"`{row.suite}`"]
        body.append([row.what, *cells])
    share = step_table.share(results["training_step"]["benchmarks"][0]["extra_info"])
    return "\n\n".join(
        [
            "Medians; each suite's CPU is in docs/benchmarks.md, and `make bench SUITES=SUITE` measures it again.",
            table(["what", "hscl-fast", "peer", "ratio", "suite"], body),
            f"The encoder takes {1 - share:.1%} of that step on a CPU, so the faster parts do not show in it.",
        ]
    )
