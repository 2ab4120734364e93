"""Builds timm encoders: from scratch, with timm's own weights, or with those of a file."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from torch import nn

from hscl_fast.config.sections import ModelConfig
from hscl_fast.errors import UsageError
from hscl_fast.light_timm import timm

_HUB, _PATIENCE = ("huggingface.co", 443), 5.0  # seconds; the hub's own client tries for a minute


class InputStatistics(NamedTuple):
    """An encoder's inputs are (x - mean) / std with x in [0, 1], for each of the three channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


FROM_SCRATCH = InputStatistics((0.5,) * 3, (0.5,) * 3)


def input_statistics(config: ModelConfig) -> InputStatistics:
    """Return the mean and standard deviation that an encoder's inputs are normalised with.

    Those of ``pretrained_cfg``, which the weights were trained with, or 0.5 for an encoder from scratch.
    """
    if not config.starts_trained:
        return FROM_SCRATCH
    known = timm.get_pretrained_cfg(config.encoder)
    return FROM_SCRATCH if known is None else InputStatistics(tuple(known.mean), tuple(known.std))


def input_size(config: ModelConfig) -> int | None:
    """Return the side in pixels that the weights were trained with, or None for an encoder from scratch."""
    known = timm.get_pretrained_cfg(config.encoder) if config.starts_trained else None
    return None if known is None else int(known.input_size[-1])


def weights_page(config: ModelConfig) -> str | None:
    """Return the address of the page from which timm downloads the encoder's weights, if it has any there."""
    known = timm.get_pretrained_cfg(config.encoder)
    return None if known is None or not known.hf_hub_id else f"https://{_HUB[0]}/{known.hf_hub_id}"


def create_encoder(config: ModelConfig, image_size: int, *, load: bool, **arguments: Any) -> nn.Module:
    """Build a timm model without its classifier.

    Parameters
    ----------
    config
        ``encoder``, ``pretrained`` and ``weights`` are used.
    image_size
        Side of the images in pixels, which only transformers are told.
    load
        Whether to load the weights that ``config`` names; otherwise they are drawn, for a checkpoint to replace them.
    **arguments
        Arguments of the model.

    Raises
    ------
    UsageError
        timm cannot build it, or the weights are missing or do not fit.
    """
    if load and config.starts_trained:
        arguments |= _weights(config)
    try:
        try:
            model: nn.Module = timm.create_model(config.encoder, num_classes=0, img_size=image_size, **arguments)
        except TypeError:
            model = timm.create_model(config.encoder, num_classes=0, **arguments)
        if load and config.weights is not None:
            _require_all(model, Path(config.weights).expanduser())
    except Exception as error:  # timm's constructors raise many types
        if arguments.get("pretrained"):
            raise _unusable(config, str(error)) from error
        raise UsageError(
            f"--model.encoder {config.encoder!r} cannot be built for {image_size} px images: {error}. Choose another "
            "encoder or another --data.image_size."
        ) from error
    return model


def _weights(config: ModelConfig) -> dict[str, Any]:
    """Return the arguments by which timm loads the weights, from a file or from the hub."""
    if config.weights is not None:
        path = Path(config.weights).expanduser()
        if not os.path.isfile(path):
            raise UsageError(
                f"--model.weights is {config.weights!r}, but there is no such file. Give a .safetensors file with the "
                f"weights of {config.encoder} under timm's names."
            )
        return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path), "source": "", "custom_load": False}}
    known = timm.get_pretrained_cfg(config.encoder)
    if known is None or not known.has_weights:
        raise UsageError(
            f"--model.pretrained is true, but timm has no weights for {config.encoder}. Give a name from "
            "timm.list_models(pretrained=True), or --model.weights FILE.safetensors."
        )
    if known.hf_hub_id and not _is_at_hand(known.hf_hub_id):
        raise UsageError(
            f"--model.pretrained is true, but the weights of {config.encoder} are not on this machine and "
            f"{_HUB[0]} cannot be reached. Download model.safetensors from {weights_page(config)} "
            "elsewhere, copy it here and give --model.weights FILE.safetensors in place of --model.pretrained."
        )
    return {"pretrained": True}


def _require_all(model: nn.Module, path: Path) -> None:
    """Raise an error unless a file has the encoder's tensors and no others but the classifier's.

    Without the classifier, timm loads what has a name in common and leaves the rest as it was drawn.
    """
    with safe_open(path, framework="pt") as file:
        found = set(file.keys())
    wanted = set(model.state_dict())
    classifier = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    heads = tuple(f"{name}." for name in ((classifier,) if isinstance(classifier, str) else classifier))
    missing = sorted(name for name in wanted - found if not name.endswith("num_batches_tracked"))
    unknown = sorted(
        name for name in found - wanted if not name.startswith(heads) and not name.endswith("num_batches_tracked")
    )
    for names, problem in ((missing, "does not have"), (unknown, "has, but the encoder does not have,")):
        if names:
            raise ValueError(f"it {problem} {', '.join(names[:3])}{f' and {len(names) - 3} more' * (len(names) > 3)}")


def _is_at_hand(repository: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    if any(
        isinstance(try_to_load_from_cache(repository, name), str) for name in ("model.safetensors", "pytorch_model.bin")
    ):
        return True
    try:
        socket.create_connection(_HUB, _PATIENCE).close()
    except OSError:
        # A proxy may reach what this process cannot.
        return any(name in os.environ for name in ("HTTPS_PROXY", "https_proxy", "HF_ENDPOINT"))
    return True


def _unusable(config: ModelConfig, reason: str) -> UsageError:
    reason = " ".join(reason.split())[:300]
    if config.weights is None:
        return UsageError(
            f"The weights of {config.encoder} cannot be loaded: {reason}. Give --model.weights FILE.safetensors with "
            "weights of timm's names, or leave --model.pretrained out."
        )
    return UsageError(
        f"--model.weights {config.weights!r} does not hold the weights of {config.encoder}: {reason}. Give a "
        ".safetensors file with this encoder's weights under timm's names, or name the encoder they belong to with "
        "--model.encoder."
    )
