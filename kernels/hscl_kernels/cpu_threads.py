"""Run independent shares of work side by side, as many as torch has threads.

torch spreads every operator over its threads and waits for the slowest after each one. With another share's operators
to run meanwhile no core waits. Each share's operators may use all of torch's threads: with one each, a core would be
idle whenever shares end unevenly.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

MOST_SHARES = 8  # each share of the backward sweep has a gradient [N, D] of its own

_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}  # by process (a fork has no threads) and number of threads


def share_count() -> int:
    """Return how many shares to cut work into: torch's number of threads, up to 8."""
    return min(torch.get_num_threads(), MOST_SHARES)


def run_shares(work: Callable[[int], None], count: int) -> None:
    """Call ``work(0)`` ... ``work(count - 1)`` at the same time; the first error is raised again."""
    if count == 1:
        _run(work, 0)
        return
    for result in [_pool(count).submit(_run, work, number) for number in range(count)]:
        result.result()


def _run(work: Callable[[int], None], number: int) -> None:
    # Whatever mode the caller is in, working memory is kept from call to call, so it must always be of one kind.
    with torch.inference_mode():
        work(number)


def _pool(count: int) -> ThreadPoolExecutor:
    with _lock:
        key = (os.getpid(), count)
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(count, thread_name_prefix="hscl-tiles")
        return _pools[key]
