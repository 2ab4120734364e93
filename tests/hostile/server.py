"""A process that has imported everything and runs commands of hscl in forks of itself: ``python -m hostile.server``.

It reads one JSON object per line, ``{"arguments", "folder", "output", "environment"}``, and answers with one,
``{"status", "peak", "seconds"}``; ``status`` is -9 for a command that was killed because it took too long or too much.
"""

import importlib
import json
import os
import sys
import time
import traceback

MEMORY = 2 << 30  # bytes above what the process had at the fork
SECONDS = 20
_POLL = 0.005
_PAGE = os.sysconf("SC_PAGE_SIZE")
PRELOADED = (
    *("numpy", "torch", "timm", "PIL.Image", "scipy.io", "sklearn.datasets", "sklearn.metrics", "matplotlib.figure"),
    *("hscl_fast.cli.train", "hscl_fast.cli.evaluate", "hscl_fast.cli.predict", "hscl_fast.cli.data_prepare"),
    *("hscl_fast.cli.data_verify", "hscl_fast.cli.data_views"),
)


def resident(pid):
    """Bytes of memory that a process has, or 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def run(request):
    """Run one command in a fork; return how it ended and what it took."""
    before, started = resident(os.getpid()), time.monotonic()
    pid = os.fork()
    if pid == 0:
        become_command(request)
    peak, ended = 0, 0
    while not ended:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            peak = max(peak, usage.ru_maxrss * 1024 - before)
            break
        peak = max(peak, resident(pid) - before)
        if peak > MEMORY or time.monotonic() - started > SECONDS:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            return {"status": -9, "peak": peak, "seconds": time.monotonic() - started}
        time.sleep(_POLL)
    return {"status": os.waitstatus_to_exitcode(status), "peak": peak, "seconds": time.monotonic() - started}


def become_command(request):
    """Run the command in this process, which is a fork, and end it."""
    status = 1
    try:
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        for stream, name in ((0, os.devnull), (1, request["output"] + ".out"), (2, request["output"] + ".err")):
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, stream)
        from hscl_fast.cli.main import main

        main(request["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    for module in PRELOADED:
        importlib.import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
