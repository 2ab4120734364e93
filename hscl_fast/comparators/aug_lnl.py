"""Augmentation strategies for learning with noisy labels (Nishi et al., CVPR 2021): DivideMix with strong views."""

from __future__ import annotations

from typing import ClassVar

from hscl_fast.comparators.dividemix import DivideMixComparator


class AugLnlComparator(DivideMixComparator):
    """DivideMix that looks at weak views and learns from strong ones.

    Weak views serve the warm-up and the guessing of labels; the mixture is trained on two strong ones (AutoAugment).
    The losses that are divided are those of images as they are, as in the authors' code.
    """

    strong: ClassVar[bool] = True
    batch: ClassVar[int] = 128
