"""The features of a run's images by its frozen encoder, computed once and kept in the run directory.

They depend on the images and the encoder, not on the labels, so a run begun from another one takes those of that run.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from pathlib import Path

import torch
from rich.console import Console

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import Config
from hscl_fast.console import say
from hscl_fast.data.split.split import Split
from hscl_fast.device import Execution
from hscl_fast.errors import UsageError
from hscl_fast.method.encode import CachedFeatures, encode_images
from hscl_fast.method.network import Network
from hscl_fast.progress import image_progress
from hscl_fast.runs.checkpoint import DamagedCheckpoint, NoCheckpoint, load_checkpoint, write_checkpoint
from hscl_fast.runs.directory import RunDirectory


def cached_features(
    directory: RunDirectory, config: Config, split: Split, network: Network, execution: Execution, console: Console
) -> CachedFeatures:
    """Return the features of a run's images, from the run if it has them, or from the run that it begins from.

    They are computed, and written in one piece, where they are missing, damaged, or of other weights, images or views:
    a process that is stopped before leaves none behind.

    Parameters
    ----------
    directory
        The run.
    config
        ``augment.cached_views`` must be set.
    split
        The run's images.
    network
        Whose frozen encoder is used.
    execution
        Device and precision.
    console
        Console for progress.

    Raises
    ------
    UsageError
        The features are not finite, or cannot be written.
    """
    views = config.augment.cached_views
    assert views is not None
    key = _key(config, split, network)
    shapes = {
        "views": (len(split.training.roles), views, network.encoder_features),
        "held_out": (len(split.held_out.roles), network.encoder_features),
    }
    try:
        return _read(directory, key, shapes)
    except NoCheckpoint:
        pass
    except DamagedCheckpoint as error:
        say(console, f"{directory.features} is damaged ({error.reason}): the features are computed again")
    earlier = _of_earlier(config, key, shapes)
    if earlier is not None:
        _write(directory, earlier, key)
        say(console, f"the features of all images are those of {config.model.warm_start}")
        return earlier
    was_training = network.training
    network.eval()
    count = len(split.training.roles) + len(split.held_out.roles)
    started = time.perf_counter()
    with image_progress(console, "encoding", count) as advance:
        tensors = {
            "views": encode_images(
                network,
                split.training.images,
                config.augment,
                execution,
                views=views,
                seed=config.runtime.seed,
                advance=advance,
            ),
            "held_out": encode_images(
                network, split.held_out.images, config.augment, execution, views=1, seed=0, advance=advance
            ).flatten(1),
        }
    seconds = time.perf_counter() - started
    network.train(was_training)
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UsageError(
            f"The features of {config.model.encoder} are not finite in {execution.precision_name}. Use "
            "--runtime.precision float32 or other weights."
        )
    computed = CachedFeatures(**tensors, seconds=seconds)
    _write(directory, computed, key)
    return computed


def _of_earlier(config: Config, key: str, shapes: dict[str, tuple[int, ...]]) -> CachedFeatures | None:
    """Return the features in the run whose weights this one begins with, if they are of the same images and encoder."""
    if config.model.warm_start is None:
        return None
    earlier = RunDirectory(Path(config.model.warm_start))
    try:
        same = earlier.load_config().runtime.precision == config.runtime.precision
        return _read(earlier, key, shapes) if same else None
    except UsageError:  # it was deleted since, has no features, or those of other images
        return None


def _write(directory: RunDirectory, cached: CachedFeatures, key: str) -> None:
    tensors = {"views": cached.views, "held_out": cached.held_out}
    try:
        write_checkpoint(directory.features, weights=tensors, info={"key": key, "seconds": cached.seconds})
    except OSError as error:
        raise UsageError(
            f"The features in {directory.features} could not be written: {error.strerror or error}. Free some space or "
            "make the directory writable, then continue with --resume."
        ) from error


def _read(directory: RunDirectory, key: str, shapes: dict[str, tuple[int, ...]]) -> CachedFeatures:
    saved = load_checkpoint(directory.features)
    seconds = saved.info.get("seconds")
    if saved.info.get("key") != key:
        raise DamagedCheckpoint(directory.features, "it is of other weights, images or views")
    if not isinstance(seconds, float) or not 0 <= seconds < math.inf:
        raise DamagedCheckpoint(directory.features, f"its seconds are {seconds!r}, expected a number of 0 or more")
    found = {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in saved.weights.items()}
    expected = {name: (torch.float32, shape) for name, shape in shapes.items()}
    if found != expected:
        raise DamagedCheckpoint(directory.features, f"it has {found}, expected {expected}")
    if not all(tensor.isfinite().all() for tensor in saved.weights.values()):
        raise DamagedCheckpoint(directory.features, "it has values that are not finite")
    return CachedFeatures(**saved.weights, seconds=seconds)


def _key(config: Config, split: Split, network: Network) -> str:
    """Return the SHA-256 of all that decides the features, except the device and the precision."""
    sizes = {name: getattr(config.data, name) for name in ("bit_depth", "float_white")}
    drawn = {"augment": to_dict(config)["augment"], "seed": config.runtime.seed}
    facts = {
        "encoder": config.model.encoder,
        "images": split.record.sha256,
        "chosen": [split.record.kind, split.record.train.image, split.record.train.part],
        "image_size": split.training.images.shape[1],
        **sizes,
        **(drawn if config.augment.cached_views != 1 else {}),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in network.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
