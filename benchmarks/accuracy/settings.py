"""Sorts records: those of one setting are comparable, and those of one normal class and seed are pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.accuracy.results import Record

TUNING = {"cifar10": (0, 3, 5), "fashion_mnist": (0, 2, 6)}  # normal classes on which recipes may be tuned
Pair = tuple[int | None, int]  # normal class and seed


class Setting(NamedTuple):
    """Data, how it was split, and which of its normal classes; your own images come with roles, so with no split."""

    data: str
    protocol: str
    labelled_ratio: float | None
    pollution_ratio: float | None
    tuning: bool | None  # None where no classes were set aside

    @property
    def title(self) -> str:
        """The setting in words."""
        if self.pollution_ratio is None:
            return self.data
        classes = {True: ", tuning classes", False: ", other classes", None: ""}[self.tuning]
        split = f"gamma_l {self.labelled_ratio:g}, gamma_p {self.pollution_ratio:g}"
        return f"{self.data}{classes}: {split}" + ("" if self.protocol == "elsa" else f", protocol {self.protocol}")

    @property
    def short(self) -> str:
        """The setting as the head of a column."""
        if self.pollution_ratio is None:
            return self.data
        classes = {True: ", tuning", False: ", others", None: ""}[self.tuning]
        return f"{self.data}{classes}, gamma_p {self.pollution_ratio:g}"


def setting_of(record: Record) -> Setting:
    """Return the setting of a run."""
    data, normal_class = record["data"], record["normal_class"]
    if normal_class is None:
        return Setting(data, record["protocol"], None, None, None)
    tuning = normal_class in TUNING[data] if data in TUNING else None
    return Setting(data, record["protocol"], record["labelled_ratio"], record["pollution_ratio"], tuning)


def by_setting(records: Iterable[Record]) -> dict[Setting, list[Record]]:
    """Return the records of each setting, data sets in order and tuning classes first."""
    found: dict[Setting, list[Record]] = {}
    for record in records:
        found.setdefault(setting_of(record), []).append(record)
    return dict(sorted(found.items(), key=lambda item: (item[0].data, str(item[0][1:4]), item[0].tuning is False)))


def of_trial(records: Iterable[Record], trial: str) -> list[Record]:
    """Return the records of a trial that have an AUROC."""
    return [record for record in records if record["trial"] == trial and accuracy(record) is not None]


def accuracy(record: Record) -> float | None:
    """Return the AUROC in percent: the mean over the anomaly classes where there are several, else the pooled one."""
    value = record["auroc"] if record["auroc_mean"] is None else record["auroc_mean"]
    return None if value is None else 100 * value


def pairs_of(records: Sequence[Record]) -> dict[Pair, float]:
    """Return the AUROC in percent of each normal class and seed."""
    return {
        (record["normal_class"], record["seed"]): value for record in records if (value := accuracy(record)) is not None
    }


def peers_of(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return for each peer one record per class and seed: its figures, with the class and the seed of the run.

    Peers on pixels are the same in every run of equal image size; those of the first trial that has them are taken.
    """
    found: dict[str, dict[Pair, Record]] = {}
    for record in records:
        pair = record["normal_class"], record["seed"]
        for name, peer in record["peers"].items():
            if accuracy(peer) is not None:
                found.setdefault(name, {}).setdefault(pair, peer)
    return {name: [*peers.values()] for name, peers in found.items()}


def lead_of(record: Record) -> float | None:
    """Return by how many points a run is above the best peer of its own report; None without peers."""
    peers = [value for peer in record["peers"].values() if (value := accuracy(peer)) is not None]
    own = accuracy(record)
    return own - max(peers) if peers and own is not None else None
