"""Selects a setting by the AUROC on held-out labelled images, never on test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sklearn.metrics import roc_auc_score

from hscl_fast.comparators.comparator import Scores, VisibleImages
from hscl_fast.data.types import NORMAL

LEAST = 5  # held-out images of each kind: the AUROC of a single pair is 0 or 1
_Fitted = TypeVar("_Fitted")

# Widths of the RBF kernel that Deep SAD's release of OC-SVM and SSAD tries, which selects on test images.
GAMMAS = tuple(2.0**power for power in range(-7, 3))


def best_fit(
    settings: Sequence[float],
    default: float,
    fit: Callable[[float], _Fitted],
    score: Callable[[_Fitted], Scores],
    given: VisibleImages,
) -> _Fitted:
    """Return what was fitted with the setting of the highest AUROC on the held-out images.

    Parameters
    ----------
    settings
        To try beside the default; of equally good ones the first is taken.
    default
        Taken where none is better, or there are fewer than five held-out images of either kind.
    fit
        Fits with a setting.
    score
        Scores the held-out images with what was fitted, higher = more normal.
    given
        With the held-out images and their roles.
    """
    normal = given.held_out_roles == NORMAL
    if min(normal.sum(), (~normal).sum()) < LEAST:
        return fit(default)
    fits = [fit(setting) for setting in (default, *settings)]
    return max(fits, key=lambda fitted: float(roc_auc_score(normal, score(fitted))))
