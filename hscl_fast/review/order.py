"""Which of the unlabelled images a person is to look at, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hscl_fast.evaluation.suspects import Suspect

Order = Literal["suspicious", "uncertain", "mixed"]
RULES: dict[Order, str] = {
    "suspicious": "The images that are likeliest to be hidden anomalies come first.",
    "uncertain": "The images that are nearest to the decision threshold come first.",
    "mixed": "Likely hidden anomalies and images near to the decision threshold take turns, each from the top of its "
    "list.",
}


def in_order(suspects: Sequence[Suspect], order: Order, top: int) -> list[Suspect]:
    """Return the images to look at, first one first.

    Parameters
    ----------
    suspects
        All unlabelled images, most suspicious first.
    order
        See :data:`RULES`. Of equally uncertain images the more suspicious one comes first.
    top
        The most images to return.
    """
    uncertain = sorted(suspects, key=lambda image: (-image.uncertainty, image.rank))
    if order == "suspicious":
        return [*suspects[:top]]
    if order == "uncertain":
        return uncertain[:top]
    turns = [image for pair in zip(suspects, uncertain, strict=True) for image in pair]
    return [*dict.fromkeys(turns)][:top]
