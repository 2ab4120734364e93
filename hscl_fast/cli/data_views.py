"""``hscl data views``: draws some training images beside their views."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.atomic import write_bytes
from hscl_fast.config.sections import NO_PICTURE, AugmentConfig, DataConfig
from hscl_fast.console import say
from hscl_fast.counted import counted
from hscl_fast.data.open import open_split
from hscl_fast.errors import UsageError
from hscl_fast.method.augment import VIEWS
from hscl_fast.runs.show import show_remarks
from hscl_fast.runs.view_sheet import MOST_IMAGES, draw_view_sheet


def run(options: Namespace, console: Console) -> int:
    """Draw the views of some images of every role, as step ``--step`` of a run with seed ``--view_seed`` uses them."""
    out, count = Path(options.out), options.images
    if not 1 <= count <= MOST_IMAGES:
        raise UsageError(f"--images is {count}, but must be between 1 and {MOST_IMAGES}. Give another number.")
    for name in ("step", "view_seed"):
        if not 0 <= options[name] < 2**63:
            raise UsageError(f"--{name} is {options[name]}, but must be in [0, 2**63). Give another number.")
    if out.exists() and not options.overwrite:
        raise UsageError(f"--out {out} already exists. Replace it with --overwrite, or give another --out.")
    given = {field.name: options[field.name] for field in fields(DataConfig) if field.name not in NO_PICTURE}
    data, augment = DataConfig(name=options.DATA, **given), AugmentConfig(**vars(options.augment))
    split = open_split(data)
    show_remarks(split.remarks, console, own=tuple(given))
    picture, shown = draw_view_sheet(
        data.name, split.training, augment, count=count, seed=options.view_seed, step=options.step
    )
    try:
        write_bytes(out, picture)
    except OSError as error:
        raise UsageError(
            f"--out {out} cannot be written: {error.strerror or error}. Give a file in a folder that you may write to."
        ) from error
    say(console, f"{out}: {counted(shown, 'image')} and {VIEWS * augment.rotations} views of each")
    return 0
