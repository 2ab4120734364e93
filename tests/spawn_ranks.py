"""Ranks as torchrun starts them, without importing torch in each: forks of one process that has imported it."""

import multiprocessing
import os
import socket
import sys
import tempfile

import torch
import torch.distributed as dist

# The fork server does not get this process's import path, so it can import installed packages only.
PRELOADED = ["numpy", "pytest", "hypothesis", "sklearn.metrics", "timm", "torch._dynamo", "torch.distributed", "triton"]


def start(function, ranks, *arguments):
    """Run ``function(rank, ranks, *arguments)`` on each rank; return what they printed.

    The fork server starts no thread, so its forks are as good as new processes. They have the environment and the
    output files with which it was started, not those of this test: what they print goes into a file, and from there to
    this process's standard error.
    """
    multiprocessing.set_forkserver_preload(PRELOADED)
    with tempfile.NamedTemporaryFile("r") as output:
        try:
            torch.multiprocessing.start_processes(
                run_on_rank, (output.name, function, ranks, *arguments), nprocs=ranks, start_method="forkserver"
            )
        finally:
            printed = output.read()
            sys.stderr.write(printed)
    return printed


def run_on_rank(rank, output, function, *arguments):
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ["COLUMNS"] = "200"
    torch.set_num_threads(1)
    function(rank, *arguments)


def spawn(function, ranks):
    """Run ``function()`` on each rank in the environment that torchrun would give it; return what they printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return start(run_under_torchrun, ranks, function, port)


def run_under_torchrun(rank, ranks, function, port):
    facts = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in facts.items()})
    function()


def assert_equal_on_all(values, ranks):
    for value in values:
        first = value.clone()
        dist.broadcast(first, 0, group=ranks.control)
        assert torch.equal(first, value)
