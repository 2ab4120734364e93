"""The table of ``test_training_step.py``."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import machine, number, spread, table, targets

OURS, RELEASED, ENCODER = "whole step", "released step, eager", "encoder, forward and backward"
SHARES = {"16 channels": 0.10, "64 channels": 0.03}  # targets: all that is not the encoder's, of the sum of the parts


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``."""
    infos = [benchmark["extra_info"] for benchmark in results["benchmarks"]]
    names = list(infos[0]["variants"])
    head = ["milliseconds: median (quartiles; n)", *(info["encoder"] for info in infos)]
    body = [[name, *(_cell(info["variants"][name]) for info in infos)] for name in names]
    body.append(["all but the encoder, share", *(f"{share(info):.1%}" for info in infos)])
    for name in (OURS, RELEASED):
        rows = [info["variants"][name] for info in infos]
        rates = [info["views"] / row["total"][1] for info, row in zip(infos, rows, strict=True)]
        body.append([f"views per second, {name}", *map(number, rates)])
        body.append([f"extra MiB at the peak, {name}", *(number(row["memory"] / 2**20) for row in rows)])
    return "\n\n".join([machine(results), table(head, body), targets(map(_verdict, infos))])


def _cell(row: dict[str, Any]) -> str:
    loss = "" if row["loss"] is None else f", loss {row['loss']:.3f}"
    return spread([1e3 * seconds for seconds in row["total"]], row["rounds"]) + loss


def share(info: dict[str, Any]) -> float:
    """Return the share of the parts' time that is not the encoder's."""
    medians = {name: row["total"][1] for name, row in info["variants"].items() if name not in (OURS, RELEASED)}
    return 1 - medians[ENCODER] / sum(medians.values())


def _verdict(info: dict[str, Any]) -> str:
    most = next(share for words, share in SHARES.items() if words in info["encoder"])
    ratio = info["variants"][RELEASED]["total"][1] / info["variants"][OURS]["total"][1]
    met = "met" if share(info) < most else "missed"
    return (
        f"All but the encoder under {most:.0%} of the parts with {info['encoder']}: {met} ({share(info):.1%}). The "
        f"released step takes {ratio:.2f} times as long."
    )
