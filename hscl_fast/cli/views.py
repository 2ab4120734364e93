"""``hscl data views``: a picture of what training sees of some images."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from hscl_kernels import augment_views
from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.atomic import write_bytes
from hscl_fast.config.sections import NO_PICTURE, AugmentConfig, DataConfig
from hscl_fast.console import say
from hscl_fast.data.open import open_split
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, TrainingImages
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.report.view_sheet import picture_views
from hscl_fast.method.augment import ROTATIONS, VIEWS, draw_views

_NAMES = {NORMAL: "normal", UNLABELLED: "unlabelled", ABNORMAL: "abnormal"}
_MOST_IMAGES = 64


def views_command(options: Namespace, console: Console) -> int:
    """Draw what step ``step`` of a run seeded ``view_seed`` would see of some images of every role."""
    out, count = Path(options.out), options.images
    if not 1 <= count <= _MOST_IMAGES:
        raise UsageError(f"--images is {count}, but must be between 1 and {_MOST_IMAGES}. Give another number.")
    for name in ("step", "view_seed"):
        if not 0 <= options[name] < 2**63:
            raise UsageError(f"--{name} is {options[name]}, but must be in [0, 2**63). Give another number.")
    if out.exists() and not options.overwrite:
        raise UsageError(f"--out {out} exists already. Replace it with --overwrite, or give another --out.")
    asked = {field.name: options[field.name] for field in fields(DataConfig) if field.name not in NO_PICTURE}
    config = DataConfig(name=options.DATA, **asked)
    augment = AugmentConfig(**vars(options.augment))
    training = open_split(config).training
    chosen = choose_images(training, count)
    images = training.images[chosen]
    picture = picture_views(
        images,
        render_views(images, chosen, augment, seed=options.view_seed, step=options.step),
        title=f"{config.name}: the views of policy {augment.policy} at step {options.step}, seed {options.view_seed}",
        names=[f"{_NAMES[int(role)]}\n{index}" for index, role in zip(chosen, training.roles[chosen], strict=True)],
        columns=[f"view {view + 1}, {90 * turn}°" for view in range(VIEWS) for turn in range(ROTATIONS)],
    )
    try:
        write_bytes(out, picture)
    except OSError as error:
        raise UsageError(
            f"--out {out} cannot be written: {error.strerror or error}. Give a file in a folder that you may write to."
        ) from error
    say(console, f"{out}: {len(chosen)} images and {VIEWS * ROTATIONS} views of each")
    return 0


def choose_images(training: TrainingImages, count: int) -> npt.NDArray[np.int64]:
    """Return numbers of ``count`` training images (or all): of each role an equal share where there are enough."""
    members = [np.flatnonzero(training.roles == role) for role in (NORMAL, UNLABELLED, ABNORMAL)]
    by_turns = [some[place] for place in range(count) for some in members if place < len(some)]
    return np.array(sorted(by_turns[:count], key=lambda index: (-training.roles[index], index)), np.int64)


def render_views(
    images: npt.NDArray[np.uint8], indices: npt.NDArray[np.int64], augment: AugmentConfig, *, seed: int, step: int
) -> npt.NDArray[np.uint8]:
    """Return the views as pictures, uint8 ``[V * R, n, H, W, 3]``."""
    parameters = draw_views(
        augment,
        torch.from_numpy(indices),
        seed=torch.tensor(seed),
        step=torch.tensor(step),
        size=(images.shape[1], images.shape[2]),
    )
    views = augment_views(torch.from_numpy(images), parameters, mean=0.0, std=1.0)
    pixels = (views * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return pixels.reshape(VIEWS * ROTATIONS, *images.shape).numpy()
