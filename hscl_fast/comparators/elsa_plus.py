"""Elsa+ (Han et al., CIKM 2021): Elsa on CSI's pre-training, with rotated copies."""

from __future__ import annotations

from typing import ClassVar

from hscl_fast.comparators.elsa import ElsaComparator


class ElsaPlusComparator(ElsaComparator):
    """Elsa with every image in four turns, each with the role of the image, and the loss of the rotation classifier.

    The prototypes are those of all turns, and an image's score is the sum over its turns.
    """

    rotations: ClassVar[bool] = True
