"""Shows the progress of a run: a live bar on a terminal, about twenty lines per training elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

_LINES_PER_RUN = 20


class TrainingProgress:
    """Shows the epoch, the time left, views per second and losses.

    Parameters
    ----------
    console
        Console to write to.
    losses
        Short names of the losses by their keys in a log row, in the order in which they are shown.
    done, total
        Steps already done (in a resumed run), and the total number of steps.
    steps_per_epoch
        Steps per pass over the images, which gives the epoch.
    """

    def __init__(
        self, console: Console, losses: Mapping[str, str], *, done: int, total: int, steps_per_epoch: int
    ) -> None:
        self._console, self._losses = console, losses
        self._total = total
        self._steps_per_epoch = steps_per_epoch
        self._epochs = -(-total // steps_per_epoch)
        self._next_line = done
        self._bar = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(),
            _Figures(console),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task(self._epoch(done), total=total, completed=done, figures=())

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, step: int) -> None:
        """Show that ``step`` steps are done."""
        self._bar.update(self._task, completed=step, description=self._epoch(step))

    def log(self, row: dict[str, float]) -> None:
        """Show the figures of a log row."""
        losses = [f"{short} {row[name]:.3f}" for name, short in self._losses.items() if name in row]
        skipped = [f"skipped {row['skipped_updates']:.0f}"] if row.get("skipped_updates") else []
        rate = [f"{row['views_per_second']:,.0f} views/s"] if "views_per_second" in row else []
        self._bar.update(self._task, figures=(*skipped, *losses[:1], *rate, *losses[1:]))
        step = int(row["step"])
        if not self._console.is_terminal and (step >= self._next_line or step == self._total):
            self._next_line = step + max(1, self._total // _LINES_PER_RUN)
            left = row["seconds_left"]
            parts = [self._epoch(step), f"step {step}/{self._total}", f"{left:,.0f} s left", *rate]
            text = "  ".join([*parts, " ".join([*losses, *skipped])]).rstrip()
            self._console.print(text, soft_wrap=True, highlight=False)

    def _epoch(self, step: int) -> str:
        epoch = min(step // self._steps_per_epoch + 1, self._epochs)
        return f"epoch {epoch}/{self._epochs}"


class _Figures(ProgressColumn):
    """The figures of a training, the more important ones first; those for which there is no room are left out."""

    _BAR = 8  # columns that are kept for the bar, with the spaces around it

    def __init__(self, console: Console) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._console = console

    def render(self, task: Task) -> Text:
        """Return steps done, time left and, as far as they fit, the other figures."""
        line = f"{task.completed:.0f}/{task.total:.0f} steps  {_clock(task.time_remaining)} left"
        room = self._console.width - len(task.description) - self._BAR
        for figure in (*task.fields["figures"], f"{_clock(task.elapsed)} elapsed"):
            if len(line) + 2 + len(figure) > room:
                break
            line += f"  {figure}"
        return Text(line)


def _clock(seconds: float | None) -> str:
    return "-:--:--" if seconds is None else str(timedelta(seconds=int(seconds)))


@contextmanager
def image_progress(console: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar with time left and images per second on a terminal, nothing elsewhere.

    Parameters
    ----------
    console
        Console to write to.
    title
        Text beside the bar.
    total
        Total number of images.

    Yields
    ------
    Callable
        To be called with the number of images done since the last call.
    """
    columns = (
        TextColumn(title),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,} images"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]:,.0f} images/s"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        number = bar.add_task(title, total=total, rate=0.0)
        (task,) = bar.tasks

        def advance(images: int) -> None:
            bar.advance(number, images)
            bar.update(number, rate=task.completed / max(task.elapsed or 0.0, 1e-9))

        yield advance
