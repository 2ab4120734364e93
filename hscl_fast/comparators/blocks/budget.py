"""How many steps a comparator trains: as many views pass through its network as through HSCL's."""

from __future__ import annotations

from hscl_fast.comparators.comparator import Setting
from hscl_fast.method.augment import VIEWS


def affordable_steps(setting: Setting, images: int, views_per_step: int) -> int:
    """Return the steps of ``views_per_step`` views each that HSCL's views pay for, 1 or more.

    Parameters
    ----------
    setting
        HSCL's ``total_steps``, of 2 R views of each image of a batch.
    images
        Training images.
    views_per_step
        Images and copies of images that a step passes through the network.
    """
    return max(1, setting.total_steps * hscl_views(setting, images) // views_per_step)


def hscl_views(setting: Setting, images: int) -> int:
    """Return the views of a step of HSCL: 2 R of each image of a batch."""
    return VIEWS * setting.config.augment.rotations * min(setting.config.optim.batch_size, images)


def within(steps: int, *lengths: int) -> list[int]:
    """Return the lengths of stages, shortened in proportion to ``steps`` in all where they are longer, 1 or more each.

    >>> within(100, 150, 50)
    [75, 25]
    >>> within(300, 150, 50)
    [150, 50]
    """
    total = sum(lengths)
    return [max(1, length * min(steps, total) // total) for length in lengths]
