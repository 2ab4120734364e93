"""Runs independent shares of work on as many threads as torch uses, each operator on one of them.

torch's own way, to spread every operator over all threads, waits for the slowest thread after each one, and hands a
tile from the cache of one core to that of another in between. Tile by tile on one thread the whole HSCL objective took
16.5 ms rather than 21.2 at 2048 rows on two cores (10.9 of them matrix products either way).
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
    """Call ``work(0)`` ... ``work(count - 1)``, at the same time; the first error is raised again."""
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
            before = torch.get_num_threads()
            started = threading.Barrier(count + 1)

            def start() -> None:
                torch.set_num_threads(1)  # of this thread, but also what threads to come begin with
                started.wait()

            pool = ThreadPoolExecutor(count, thread_name_prefix="hscl-tiles")
            for _ in range(count):
                pool.submit(start)
            started.wait()
            torch.set_num_threads(before)
            _pools[key] = pool
        return _pools[key]
