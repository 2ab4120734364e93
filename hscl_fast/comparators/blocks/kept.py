"""The weights of a module among the tensors that a comparator is saved as."""

from __future__ import annotations

from torch import Tensor, nn

from hscl_fast.comparators.comparator import State


def kept(name: str, module: nn.Module) -> State:
    """Return the weights and buffers of a module, each under its name below ``name``."""
    return {f"{name}.{part}": tensor for part, tensor in module.state_dict().items()}


def restore(name: str, module: nn.Module, state: State) -> None:
    """Give a module the weights and buffers that :func:`kept` returned.

    Raises
    ------
    ValueError
        One is missing, or has another shape.
    """
    own = module.state_dict()
    module.load_state_dict({part: part_of(state, f"{name}.{part}", like=tensor) for part, tensor in own.items()})


def part_of(state: State, name: str, *, like: Tensor | None = None) -> Tensor:
    """Return one tensor of a state, on its device; of the shape of ``like``, if that is given.

    Raises
    ------
    ValueError
        It is missing, or has another shape.
    """
    if name not in state:
        raise ValueError(f"has no {name}")
    found = state[name]
    if like is not None and found.shape != like.shape:
        raise ValueError(f"has {name} of shape {list(found.shape)}, expected {list(like.shape)}")
    return found
