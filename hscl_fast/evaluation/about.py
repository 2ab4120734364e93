"""When and where an evaluation was made, and at which size it sees the images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """The circumstances of an evaluation.

    Attributes
    ----------
    date
        When it was made: ISO 8601, to the second, with the offset to UTC.
    total_steps
        The steps that the training was to have; None where it is unknown.
    device
        What the images were scored on.
    image_size
        The side in pixels to which every image is resized.
    original_size
        Width and height of the original with the median longer side; None where the originals are not in files.
    """

    date: str
    total_steps: int | None
    device: str
    image_size: int
    original_size: tuple[int, int] | None
