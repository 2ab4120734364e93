"""Runs commands of ``hscl`` in forks of one process that has imported everything and started no thread.

Reads one request per line from standard input, as JSON, and answers with one line.
"""

import importlib
import json
import os
import select
import signal
import sys
import time
import traceback

import pytest
from injection import inject
from light_reports import make_reports_light

WARM = [
    *("hscl_fast.cli.train", "hscl_fast.cli.evaluate", "hscl_fast.cli.predict", "hscl_fast.cli.data_prepare"),
    *("hscl_fast.cli.data_verify", "hscl_fast.cli.data_views", "torch._dynamo", "torch.distributed"),
    *("sklearn.ensemble", "sklearn.svm", "sklearn.linear_model", "torch.utils.tensorboard"),
]


class Child:
    """A fork that runs one command; what it prints and what it changes come through pipes, which no limit cuts."""

    def __init__(self, request):
        self.pipes, ends = {}, []
        for name in ("output", "events"):
            reader, writer = os.pipe()
            self.pipes[reader] = name
            ends.append(writer)
        self.said = {"output": b"", "events": b""}
        self.status = None
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            run(request, *ends)
        for end in ends:
            os.close(end)

    def read(self, descriptor):
        data = os.read(descriptor, 1 << 16)
        self.said[self.pipes[descriptor]] += data
        if not data:
            os.close(descriptor)
            del self.pipes[descriptor]

    def reap(self):
        """Note how the process has ended, if it has: its exit code, or the signal as a negative number."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                self.seconds = time.monotonic() - self.started

    def kill(self):
        if self.status is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has not made its group yet
                os.kill(self.pid, signal.SIGKILL)

    def answer(self):
        said = {name: data.decode(errors="replace") for name, data in self.said.items()}
        return {"status": self.status, "seconds": self.seconds, **said}


def run(request, output, events):
    """In the fork: run the command and exit."""
    status = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", 1, closefd=False)
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        inject(request["fault"], request["folder"], events)
        from hscl_fast.cli.main import main

        main(request["arguments"])
    except SystemExit as stopped:
        status = stopped.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def handle(request):
    """Run the commands of a request at the same time, and kill one of them after a while if that is asked for."""
    children = [Child(one) for one in request["commands"]]
    kill, deadline = request["kill"], time.monotonic() + request["timeout"]
    due = time.monotonic() + kill["after"] if kill else None
    while any(child.status is None or child.pipes for child in children):
        now = time.monotonic()
        if due is not None and now >= due:
            children[kill["command"]].kill()
            due = None
        if now >= deadline:
            for child in children:
                child.kill()
        owners = {descriptor: child for child in children for descriptor in child.pipes}
        wait = 0.02 if due is None else max(0.0, min(0.02, due - now))
        for descriptor in select.select(list(owners), [], [], wait)[0]:
            owners[descriptor].read(descriptor)
        for child in children:
            child.reap()
    return [child.answer() for child in children]


def serve():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no answer
    for name in WARM:
        importlib.import_module(name)
    make_reports_light(pytest.MonkeyPatch())
    threads = len(os.listdir("/proc/self/task"))
    print(json.dumps({"threads": threads}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(handle(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    serve()
