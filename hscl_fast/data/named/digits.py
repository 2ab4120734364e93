"""scikit-learn's digits, the one data set that needs no download."""

from __future__ import annotations

import numpy as np

from hscl_fast.data.types import LabelledImages, Source


def load_digits() -> Source:
    """Read scikit-learn's digits: 8x8 grey, values 0 to 16 scaled to 0 to 255.

    Of each class the first two thirds in data-set order train, the rest test.

    Returns
    -------
    Source
        1,195 and 602 images, uint8 [n, 8, 8, 3].
    """
    from sklearn import datasets  # here, so that other data sets do not wait for scikit-learn

    digits = datasets.load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    trains = np.zeros(len(labels), np.bool_)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        trains[members[: len(members) * 2 // 3]] = True
    images = np.repeat(grey[..., None], 3, axis=3)

    def part(name: str, mask: np.ndarray) -> LabelledImages:
        return LabelledImages(images[mask], labels[mask], tuple(f"{name}/{i}" for i in range(mask.sum())))

    names = tuple(str(digit) for digit in range(10))
    return Source("digits", part("train", trains), part("test", ~trains), names)
