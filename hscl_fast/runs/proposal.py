"""Proposes a pretrained encoder for images that are too large to learn from scratch on a CPU."""

from __future__ import annotations

import shlex
from dataclasses import fields

import torch

from hscl_fast.config.recipes import load_recipe
from hscl_fast.config.sections import Config, DataConfig
from hscl_fast.data.places import absolute_places
from hscl_fast.data.shrinking import median_size
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import Remark
from hscl_fast.method.network import SMALL_IMAGE
from hscl_fast.method.pretrained import weights_page

_RECIPE = "frozen"
_DECIDED = {"name", "image_size", "split_record"}  # by the command, by the encoder, and by the run


def propose_pretrained(config: Config, split: Split, device: torch.device) -> tuple[Remark, ...]:
    """Return a doubt if a user's images of more than 64 pixels are to train an encoder from scratch on a CPU.

    Parameters
    ----------
    config
        Of the run.
    split
        Its images; the sizes of files are read.
    device
        Of the training.
    """
    if device.type != "cpu" or config.model.starts_trained or split.record.kind == "named":
        return ()
    size = median_size(split.training.images)
    if size is None or max(size) <= SMALL_IMAGE:
        return ()
    width, height = size
    page = weights_page(load_recipe(_RECIPE).model)
    return (
        Remark(
            f"images of {width}x{height} px (the median) suit a pretrained encoder better than one trained from "
            f"scratch on a CPU: `{_command(config.data)}`, which downloads its weights; without a network get "
            f"model.safetensors from {page} and add --model.weights FILE.safetensors",
            doubt=True,
        ),
    )


def _command(data: DataConfig) -> str:
    data = absolute_places(data)
    flags = []
    for field in fields(DataConfig):
        value = getattr(data, field.name)
        if field.name in _DECIDED or value == field.default:
            continue
        text = "[" + ", ".join(f'"{item}"' for item in value) + "]" if isinstance(value, tuple) else str(value)
        flags.append(f"--data.{field.name} {shlex.quote(text)}")
    return " ".join(["hscl train", shlex.quote(data.name), f"--recipe {_RECIPE}", *flags])
