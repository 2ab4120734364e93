"""``hscl data prepare``: writes a data set into one ``.beton``."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hscl_fast.config.sections import NOT_PREPARED, DataConfig
from hscl_fast.console import say, warn
from hscl_fast.counted import counted
from hscl_fast.data.bad_images import SHOWN, BadImages
from hscl_fast.data.beton.ffcv_import import ffcv_is_installed
from hscl_fast.data.prepare import Preparation, prepare_beton
from hscl_fast.data.types import Remark
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted, StopRequest
from hscl_fast.runs.show import show_remarks

_REFRESH = 0.1  # seconds between two refreshes of the bar


def run(options: Namespace, console: Console) -> int:
    """Write the file, then print what was written, how fast, and what was left out."""
    given = {field.name: options[field.name] for field in fields(DataConfig) if field.name not in NOT_PREPARED}
    config = DataConfig(name=options.DATA, **given)
    how = Preparation(Path(options.out), options.encoding, options.quality, options.skip_bad, options.overwrite)
    started = time.perf_counter()
    try:
        with StopRequest() as stop, _Shown(console, stop) as shown:
            sidecar = prepare_beton(config, how, shown.update, lambda remark: _remark(remark, console))
    except Interrupted as stopped:
        say(console, f"{stopped}; {how.out} was not written")
        return stopped.exit_code
    except BadImages as error:
        if len(error.files) > SHOWN:  # more than its message lists
            for path, reason in error.files:
                say(console, f"{path}: {reason}")
        raise UsageError(f"{error} To leave them out, add --skip_bad.") from error
    seconds = time.perf_counter() - started
    for skipped in sidecar.skipped:
        warn(console, f"skipped {skipped.file}: {skipped.reason}")
    count = sidecar.counts.train + sidecar.counts.test
    say(
        console,
        f"{how.out}: {counted(count, 'image')} of {sidecar.image_size}x{sidecar.image_size} px, {sidecar.encoding}, "
        f"{sidecar.bytes / 2**20:,.1f} MiB, in {seconds:.1f} s ({count / seconds:,.0f} images/s)",
    )
    if not ffcv_is_installed():
        warn(console, "FFCV is not installed, so this file can be trained on only if its images fit in memory")
    say(console, f"next: hscl train {how.out}")
    return 0


def _remark(remark: Remark, console: Console) -> None:
    """Print a remark with this command's flags, which have no section."""
    show_remarks([remark], console, own=[field.name for field in fields(DataConfig)])


class _Shown:
    """Shows images done, images per second and time left; stops the work after a signal."""

    def __init__(self, console: Console, stop: StopRequest) -> None:
        self._stop, self._started, self._shown = stop, time.monotonic(), 0.0
        self._bar = Progress(
            TextColumn("preparing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.0f} images/s, left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, rate=0.0)

    def __enter__(self) -> _Shown:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` images are done; raise :class:`Interrupted` after Ctrl-C or SIGTERM."""
        if self._stop.received:
            raise Interrupted(self._stop.received)
        now = time.monotonic()
        if now - self._shown > _REFRESH or done == total:
            self._shown = now
            self._bar.update(self._task, completed=done, total=total, rate=done / max(now - self._started, 1e-9))
