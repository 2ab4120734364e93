"""scikit-learn's digits, the one data set that needs no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named.data_set import Layout, NamedDataSet
from hscl_fast.data.types import LabelledImages, Mask, Source, numbered


class Digits(NamedDataSet):
    """8x8 grey images with the values 0 to 16, scaled to 0 to 255.

    Of each class the first two thirds in data-set order train, the rest test.
    """

    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return one layout without files."""
        return [()]

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read the digits: 1,195 and 602 images, uint8 [n, 8, 8, 3]."""
        from sklearn import datasets  # here, so that other data sets do not wait for scikit-learn

        digits = datasets.load_digits()
        grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        images = np.repeat(grey[..., None], 3, axis=3)
        labels = digits.target.astype(np.int64)
        trains = np.zeros(len(labels), np.bool_)
        for digit in range(10):
            members = np.flatnonzero(labels == digit)
            trains[members[: len(members) * 2 // 3]] = True

        def part(name: str, mask: Mask) -> LabelledImages:
            return LabelledImages(images[mask], labels[mask], numbered(name, int(mask.sum())))

        return Source(self.name, part("train", trains), part("test", ~trains), tuple("0123456789"))


DIGITS = Digits(
    name="digits",
    size=8,
    classes=10,
    train=1195,
    test=602,
    url="https://scikit-learn.org",
    how_to_get="run pip install scikit-learn",
)
