"""The training loop of all comparators with a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from hscl_fast.comparators.blocks.rates import Rate, constant
from hscl_fast.comparators.comparator import Progress, State
from hscl_fast.errors import UsageError
from hscl_fast.training.randomness import own_randomness, seed_torch

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]

_NETWORK, _OPTIMIZER, _STEP = "network.", "optimizer.", "step"


def adam(learning_rate: float, *, weight_decay: float = 0.0) -> MakeOptimizer:
    """Return a maker of Adam, with an L2 penalty."""
    return lambda parameters: Adam(parameters, lr=learning_rate, weight_decay=weight_decay)


def sgd(
    learning_rate: float, *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0
) -> MakeOptimizer:
    """Return a maker of stochastic gradient descent."""
    return lambda parameters: SGD(
        parameters, lr=learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )


@dataclass(frozen=True)
class Stage:
    """A part of a training with one optimizer.

    Attributes
    ----------
    name
        In words, for errors.
    steps
        Its length; 0 leaves it out, ``prepare`` included.
    loss
        From the number of the step, from 0 in each stage, to the losses on its batch. ``"loss"`` is minimised; the
        others are reported. It may draw from torch's generators, which are seeded for every step, and keeps nothing
        for later steps but in buffers of the network.
    parameters
        What is trained.
    optimizer
        From :func:`adam` or :func:`sgd`, with the highest learning rate.
    rate
        Factor of that rate over the stage.
    prepare
        Called once before the first step, such as to compute a centre, in a buffer of the network.
    after
        Called after every update, such as to average the weights in another module of the network.
    """

    name: str
    steps: int
    loss: Callable[[int], dict[str, Tensor]]
    parameters: Sequence[nn.Parameter]
    optimizer: MakeOptimizer
    rate: Rate = constant
    prepare: Callable[[], None] | None = None
    after: Callable[[], None] | None = None


class Loop:
    """Trains a network in stages, and goes on after an interruption bit for bit.

    Parameters
    ----------
    network
        On its device. All that steps change is in its parameters and buffers, and is saved with every checkpoint.
    seed
        ``runtime.seed``.
    progress
        Where steps are reported, and what is continued from.
    """

    def __init__(self, network: nn.Module, *, seed: int, progress: Progress) -> None:
        self.network, self.seed, self.progress = network, seed, progress
        self.device = next(network.parameters()).device

    def run(self, stages: Sequence[Stage]) -> None:
        """Train all stages, or what is left of them.

        Raises
        ------
        Interrupted
            A signal asked to stop.
        UsageError
            The weights are no longer finite after a stage.
        """
        saved, begin = self.progress.saved, 0
        done = 0 if saved is None else int(saved[_STEP])
        if saved is not None:
            self.network.load_state_dict(_below(_NETWORK, saved))
        total = sum(stage.steps for stage in stages)
        with own_randomness(self.device):
            for stage in stages:
                end = begin + stage.steps
                if done < end:
                    self._train(stage, begin, max(begin, done), total)
                begin = end

    def _train(self, stage: Stage, begin: int, first: int, total: int) -> None:
        """Train a stage, whose first step has the number ``begin`` of all, from step ``first`` of all on."""
        optimizer = stage.optimizer(stage.parameters)
        highest = [group["lr"] for group in optimizer.param_groups]
        if first > begin:
            assert self.progress.saved is not None
            _restore(optimizer, _below(_OPTIMIZER, self.progress.saved))
        elif stage.prepare is not None:
            seed_torch(self.seed, begin, 1)  # of a rank that does not exist: no step draws these numbers
            stage.prepare()
        for number in range(first, begin + stage.steps):
            step = number - begin
            for group, rate in zip(optimizer.param_groups, highest, strict=True):
                group["lr"] = rate * stage.rate(step, stage.steps)
            seed_torch(self.seed, number, 0)
            losses = stage.loss(step)
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
            if stage.after is not None:
                stage.after()
            figures = {name: loss.detach() for name, loss in losses.items()}
            self.progress.advance(number + 1, total, partial(self._state, number + 1, optimizer), **figures)
        self._require_finite(stage)

    def _state(self, done: int, optimizer: Optimizer) -> State:
        return {
            _STEP: torch.tensor(done),
            **{_NETWORK + name: tensor for name, tensor in self.network.state_dict().items()},
            **{
                f"{_OPTIMIZER}{place}.{name}": value
                for place, moments in optimizer.state_dict()["state"].items()
                for name, value in moments.items()
                if isinstance(value, Tensor)
            },
        }

    def _require_finite(self, stage: Stage) -> None:
        if not all(bool(parameter.isfinite().all()) for parameter in stage.parameters):
            raise UsageError(
                f"The weights are no longer finite after the stage {stage.name!r} of {stage.steps} steps. Lower "
                "--optim.learning_rate, or use --runtime.precision float32."
            )


def _restore(optimizer: Optimizer, saved: State) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in saved.items():
        place, moment = name.split(".", 1)
        state.setdefault(int(place), {})[moment] = value.clone()  # which the optimizer changes in place
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _below(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
