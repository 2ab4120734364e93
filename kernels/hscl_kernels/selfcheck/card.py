"""The description of a GPU: its target in the tile tables, and the tiles tuned on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hscl_kernels.launch import read_tuned, target_of


@dataclass(frozen=True)
class Card:
    """A GPU; ``known`` says whether the tables have its own architecture; if not, ``target`` is the nearest."""

    name: str
    capability: str
    free: int
    total: int
    target: str
    known: bool
    tuned: int


def describe_card(device: torch.device) -> Card:
    """Describe a GPU. ``tuned`` counts its tuned tiles, 0 if their file is broken."""
    properties = torch.cuda.get_device_properties(device)
    target = target_of(device)
    capability = f"sm_{properties.major}{properties.minor}"
    if torch.version.hip is not None:
        capability = properties.gcnArchName.split(":")[0]
    free, total = torch.cuda.mem_get_info(device)
    tuned = 0 if tuned_error() else len(read_tuned().get(properties.name, {}))
    return Card(properties.name, capability, free, total, target, capability == target, tuned)


def tuned_error() -> str | None:
    """Return what is wrong with the file of tuned tiles, without which no kernel runs; None if nothing is."""
    try:
        read_tuned()
    except ValueError as error:
        return str(error)
    return None
