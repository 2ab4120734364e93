"""Draws a heat map over a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FAINT, _STRONG = np.array((255.0, 200.0, 0.0)), np.array((220.0, 0.0, 30.0))  # yellow to red
_OPACITY = 0.75
_GRAIN = 64  # places per side that are told apart; a defect of two pixels would be covered by a dot of two pixels


def overlay(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture with its heat map over it: the hottest place red, others fainter, all below 0 left as it is.

    Parameters
    ----------
    picture
        uint8 ``[h, w, 3]``, of any size.
    heat
        float32 ``[H, W]``, stretched over the picture.

    Returns
    -------
    uint8 ``[h, w, 3]``
    """
    height, width = picture.shape[:2]
    grain = (min(_GRAIN, heat.shape[1]), min(_GRAIN, heat.shape[0]))
    coarse = Image.fromarray(heat.astype(np.float32)).resize(grain, Image.Resampling.BILINEAR)
    stretched = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))
    hottest = max(float(stretched.max()), np.finfo(np.float32).tiny)
    share = (np.maximum(stretched, 0) / hottest)[..., None]
    colour = _FAINT + share * (_STRONG - _FAINT)
    opacity = _OPACITY * share
    return np.rint((1 - opacity) * picture + opacity * colour).astype(np.uint8)
