"""The ranks that train one run together: their numbers, their process groups and their errors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from hscl_fast.config.sections import Config
from hscl_fast.device import resolve_device
from hscl_fast.errors import FailedElsewhere, UsageError

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Ranks:
    """One process among those that train a run.

    Attributes
    ----------
    rank, size
        This process's number, and how many there are.
    local_rank
        Its number on its machine, which is the number of its GPU.
    group
        Process group of the devices (nccl or gloo); None for a single process.
    control
        Process group through which the processes agree (gloo, on the CPU); None for a single process.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    group: ProcessGroup | None = None
    control: ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes files and prints."""
        return self.rank == 0

    def average(self, values: Tensor) -> None:
        """Replace values on the device by their mean over the ranks."""
        if self.group is not None:
            dist.all_reduce(values, group=self.group)
            values /= self.size

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run a block that may fail on some ranks; then all ranks leave it, and the first that failed reports why."""
        failure: UsageError | None = None
        try:
            yield
        except UsageError as error:
            failure = error
        if self.control is not None:
            first = torch.tensor(self.rank if failure else self.size)
            dist.all_reduce(first, dist.ReduceOp.MIN, group=self.control)
            if first < self.size and first != self.rank:
                raise FailedElsewhere from failure
        if failure is not None:
            raise failure

    def require_same_step(self, step: int) -> None:
        """Raise a :class:`UsageError` unless all ranks continue from the same step."""
        if self.control is None:
            return
        ends = torch.tensor([step, -step])
        dist.all_reduce(ends, dist.ReduceOp.MAX, group=self.control)
        last, first = int(ends[0]), -int(ends[1])
        if first != last:
            raise UsageError(
                f"The ranks would continue from different steps, {first} to {last}, so they do not read the same "
                "checkpoint. Put --out on a file system that all machines share."
            )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Turn a broken connection or a time-out into a :class:`UsageError` that names this rank and the fix."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise
            reason = str(error).splitlines()[0].rpartition("] ")[2].partition(". ")[0]
            raise UsageError(
                f"Rank {self.rank} of {self.size} lost another rank, which ended or took longer than "
                f"--runtime.timeout_minutes ({reason}). See the first error that torchrun reports; then continue from "
                "the last checkpoint with --resume."
            ) from error


SINGLE = Ranks()


def environment_ranks() -> Ranks:
    """Return this process's numbers from torchrun's environment, without groups; outside torchrun, a single process.

    Raises
    ------
    UsageError
        The variables are set but are not valid numbers of ranks.
    """
    if any(name not in os.environ for name in _VARIABLES):
        return SINGLE
    values = [os.environ[name] for name in _VARIABLES]
    if not all(value.isdigit() for value in values) or int(values[0]) >= int(values[1]):
        raise UsageError(
            f"{', '.join(_VARIABLES)} are {', '.join(map(repr, values))}, but must be numbers with RANK below "
            "WORLD_SIZE. Start several ranks with torchrun, or unset these variables."
        )
    rank, size, local_rank = map(int, values)
    return Ranks(rank, size, local_rank)


def require_one_process(command: str) -> None:
    """Raise a :class:`UsageError` if torchrun started several ranks of a command that does not use ranks."""
    here = environment_ranks()
    if here.size == 1:
        return
    if not here.is_first:
        raise FailedElsewhere
    raise UsageError(
        f"torchrun started {here.size} ranks of `hscl {command}`, but only `hscl train` uses ranks. Run "
        f"`hscl {command}` without torchrun."
    )


@contextmanager
def start_ranks(config: Config) -> Iterator[Ranks]:
    """Create the process groups of a run under torchrun, and destroy them at the end; a single process needs none.

    Raises
    ------
    UsageError
        The configuration cannot be trained by several ranks, a rank has no GPU, or a rank does not reach the others.
    """
    here = environment_ranks()
    if here.size == 1:
        yield here
        return
    _require_shareable(config, here)
    # The objective gathers under this name because torch.compile does not know the newer one yet.
    warnings.filterwarnings("ignore", r".*all_gather_into_tensor", FutureWarning)
    timeout = timedelta(minutes=config.runtime.timeout_minutes)
    try:
        dist.init_process_group("gloo", timeout=timeout)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"Rank {here.rank} of {here.size} did not reach the others within --runtime.timeout_minutes "
            f"{config.runtime.timeout_minutes}: {str(error).splitlines()[0]}. Check that torchrun starts all ranks "
            "and that they can reach MASTER_ADDR."
        ) from error
    control = dist.distributed_c10d._get_default_group()
    ranks = Ranks(here.rank, here.size, here.local_rank, control=control)
    with ranks.watched():
        with ranks.together():
            device = resolve_device(config.runtime.device, here.local_rank)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        group = dist.new_group(backend="nccl" if device.type == "cuda" else "gloo", timeout=timeout)
        assert isinstance(group, ProcessGroup)
        ranks = Ranks(here.rank, here.size, here.local_rank, group, control)
        # After an error no rank waits here: cli.main exits the process at once, which closes its connections.
        yield ranks
        dist.barrier(group=control)  # a rank that leaves early breaks the connections of others
        dist.destroy_process_group()


def _require_shareable(config: Config, ranks: Ranks) -> None:
    objective, device = config.objective, config.runtime.device
    reason = None
    if objective.name != "paper":
        reason = f"--objective.name is {objective.name!r}, which cannot be trained on several ranks. Give paper"
    elif objective.backend == "reference":
        reason = "--objective.backend is 'reference', which runs on one device only. Give auto"
    elif config.augment.cached_views is not None:
        reason = "--augment.cached_views is set, with which one process trains in seconds. Leave it out"
    elif device.startswith("cuda:"):
        reason = f"--runtime.device is {device!r}, but every rank needs a GPU of its own. Give cuda or auto"
    if reason is None:
        return
    if not ranks.is_first:
        raise FailedElsewhere
    raise UsageError(f"{reason}, or train without torchrun (it started {ranks.size} ranks).")
