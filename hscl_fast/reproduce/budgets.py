"""How much of the paper is run: all of it, a part for one GPU or for a CPU, or two steps of every kind of cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hscl_fast.reproduce.scenario import Changes, Column, Row, Scenario


@dataclass(frozen=True)
class Budget:
    """A budget.

    Attributes
    ----------
    name
        Its name on the command line.
    words
        What it is, for captions.
    change
        What it changes in the paper's configuration.
    classes
        The normal classes by data set; those of others, and of a scenario with its own, are all run.
    known
        The most known anomaly classes per normal class in the split ``elsa``; None: all.
    stand_ins
        The data sets that take the places of others.
    is_smoke
        Whether the data is made for the purpose, and only one cell of each kind is run.
    """

    name: str
    words: str
    change: Changes = field(default_factory=dict)
    classes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    known: int | None = None
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    is_smoke: bool = False

    def columns_of(self, row: Row, scenario: Scenario, columns: Sequence[Column]) -> tuple[Column, ...]:
        """Return those of the columns of a scenario in which a row is run."""
        columns = tuple(column for column in columns if row.is_run_in(column))
        if not self.is_smoke or scenario.kind == "tsne":
            return columns
        if scenario.kind == "lines":
            first = {column.group: column for column in reversed(columns)}
            last = {column.group: column for column in columns}
            return tuple(column for column in columns if column in (*first.values(), *last.values()))
        return columns if row is scenario.rows[0] else columns[:1]


_ALL_DATA = ("digits", "cifar10", "cifar100", "lsun_fix", "fashion_mnist")

BUDGETS = {
    budget.name: budget
    for budget in (
        Budget("full", "the paper's 250 epochs of all runs"),
        Budget(
            "short",
            "1,000 steps; normal classes 0, 3 and 5; one known anomaly class for each",
            change={"optim": {"max_steps": 1000}},
            classes=dict.fromkeys(_ALL_DATA, (0, 3, 5)),
            known=1,
        ),
        Budget(
            "cpu",
            "100 steps of 64 images of 16 px, with a 16-channel network; 2 crops where a score averages crops; normal "
            "classes 0, 3 and 5; one known anomaly class for each",
            change={
                "method": {"crops": 2},
                "data": {"image_size": 16},
                "model": {"width": 16},
                "optim": {"max_steps": 100, "batch_size": 64, "learning_rate": 3e-3},
                "runtime": {"device": "cpu", "threads": 1},
            },
            classes=dict.fromkeys(_ALL_DATA, (0, 3, 5)),
            known=1,
        ),
        Budget(
            "smoke",
            "two steps on data made for the purpose: whether it runs, and no result",
            change={
                "data": {"image_size": 8},
                "method": {"crops": 1},
                "model": {"width": 16, "embedding_dim": 16},
                "optim": {"max_steps": 2, "batch_size": 8},
                "runtime": {"device": "cpu", "threads": 1},
            },
            classes=dict.fromkeys(_ALL_DATA, (0,)),
            known=1,
            stand_ins={"cifar10": "digits"},
            is_smoke=True,
        ),
    )
}
