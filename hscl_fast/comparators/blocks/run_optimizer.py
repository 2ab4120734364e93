"""The optimizer and the learning rates of the run's configuration, for the mode ``shared``."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import Adam

from hscl_fast.comparators.blocks.loop import MakeOptimizer
from hscl_fast.comparators.blocks.rates import Rate, cosine
from hscl_fast.comparators.comparator import Setting


def run_optimizer(setting: Setting, encoder: nn.Module, *, factor: float = 1.0) -> MakeOptimizer:
    """Return a maker of HSCL's Adam, with its penalty.

    The rate is ``factor`` times HSCL's, which ``optim.encoder_rate`` may lower for the encoder.
    """
    optim = setting.config.optim
    rate = factor * optim.learning_rate
    inside = set(encoder.parameters())

    def make(parameters: Iterable[nn.Parameter]) -> Adam:
        listed = list(parameters)
        slow = [parameter for parameter in listed if parameter in inside]
        fast = [parameter for parameter in listed if parameter not in inside]
        groups = [
            {"params": slow, "lr": rate * optim.encoder_rate},
            {"params": fast, "lr": rate},
        ]
        return Adam([group for group in groups if group["params"]], weight_decay=optim.weight_decay)

    return make


def run_rate(setting: Setting) -> Rate:
    """Return HSCL's learning rates: a linear warm-up, then a cosine."""
    return cosine(warmup=setting.config.optim.warmup_share)


def trained(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are not frozen."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
