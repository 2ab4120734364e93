"""Processes that see what torchrun would give them."""

import os
import socket

import torch
import torch.distributed as dist


def spawn(function, ranks):
    """Run a function on each rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(enter, (function, ranks, port), nprocs=ranks)


def enter(rank, function, ranks, port):
    torch.set_num_threads(1)
    facts = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in facts.items()})
    function()


def assert_equal_on_all(values, ranks):
    for value in values:
        first = value.clone()
        dist.broadcast(first, 0, group=ranks.control)
        assert torch.equal(first, value)
