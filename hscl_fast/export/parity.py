"""Whether an exported detector scores images as the run does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hscl_fast.counted import counted
from hscl_fast.errors import UsageError

TOLERANCE = 1e-4  # of a score
_ROUNDING = 1e-6  # of a score; an image this close to the threshold is on either side of it by chance


@dataclass(frozen=True)
class Parity:
    """How the scores of an export compare with those of the run, on the same images.

    Attributes
    ----------
    images
        The number of images.
    difference
        The largest difference between two scores of an image, in ``unit``; infinite where a score is not a number.
    unit
        1, or the standard deviation of the run's scores where that is larger.
    flipped
        How many decisions differ.
    undecided
        How many of these are of images that lie on the threshold itself, but for rounding.
    """

    images: int
    difference: float
    unit: float
    flipped: int
    undecided: int

    @property
    def is_equal(self) -> bool:
        """Whether the export may be used in place of the run."""
        return self.difference <= TOLERANCE and self.flipped == self.undecided


def compare(
    ours: NDArray[np.float64], theirs: NDArray[np.float32], abnormal: NDArray[np.bool_], threshold: float
) -> Parity:
    """Compare anomaly scores.

    The unit of a difference is 1. Scores such as squared distances span hundreds, of which float32 resolves no 1e-4;
    there it is their standard deviation, by which sums of scores are divided as well.

    Parameters
    ----------
    ours, theirs
        The anomaly scores of the run and of the export, ``[n]``.
    abnormal
        The decisions of the export, ``[n]``.
    threshold
        That of the run: an image is abnormal where its anomaly score is higher.
    """
    unit = max(1.0, float(ours.std()))
    difference = np.abs(theirs - ours).max() / unit
    flips = abnormal != (ours > threshold)
    near = np.abs(ours - threshold) <= _ROUNDING * max(unit, abs(threshold))
    return Parity(
        images=len(ours),
        difference=float(difference) if np.isfinite(difference) else float("inf"),
        unit=unit,
        flipped=int(flips.sum()),
        undecided=int((flips & near).sum()),
    )


def require_equal(parity: Parity) -> None:
    """Raise a :class:`UsageError` unless an export scores and decides as the run does."""
    if parity.is_equal:
        return
    raise UsageError(
        f"The exported model does not score as the run does, so no file is written: scores of "
        f"{counted(parity.images, 'image')} differ by up to {in_words(parity)}, where {TOLERANCE:g} is allowed, and "
        f"{parity.flipped:,} of their decisions. Export the other kind of file, .onnx or .pt2, and report this with "
        "the command and the versions that `hscl doctor` prints."
    )


def in_words(parity: Parity) -> str:
    """Return the largest difference, and its unit unless that is 1."""
    unit = "" if parity.unit == 1 else f" of the scores' standard deviation of {parity.unit:.3g}"
    return f"{parity.difference:.1e}{unit}"
