"""Data sets put together of others, for tests across data sets: the normal class is a whole data set.

Scenario 3 of HSCL trains on all of CIFAR-10 as normal and on ImageNet (fix) as labelled anomalies, and tests against
four data sets. Give it ``data.protocol labelled``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named.cifar import CIFAR10, CIFAR100
from hscl_fast.data.named.data_set import Layout, NamedDataSet
from hscl_fast.data.named.lsun_imagenet_fix import IMAGENET_FIX, LSUN_FIX
from hscl_fast.data.named.svhn import SVHN
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import Images, LabelledImages, Source
from hscl_fast.errors import UsageError

TESTED = 5  # every fifth image of the anomalies is tested, and the others train


@dataclass(frozen=True, kw_only=True)
class Cross(NamedDataSet):
    """A data set of normals, one of anomalies to train on, and others that only test.

    The classes are the data sets: 0 is the normal one, 1 that of the labelled anomalies. Those that only test are there
    if their files are.

    Parameters
    ----------
    normal, anomalies
        The data sets to train on. The test images of ``normal`` are the normal ones.
    others
        The data sets that only test: their test images, but all 10,000 of LSUN (fix).
    overlap
        Whether the anomalies that are tested are trained on as well. A figure of such a test is no result.
    """

    normal: NamedDataSet
    anomalies: NamedDataSet
    others: tuple[NamedDataSet, ...]
    overlap: bool

    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return the files of the two data sets to train on."""
        return [
            (*first, *second)
            for first in self.normal.layouts(root, root_given)
            for second in self.anomalies.layouts(root, root_given)
        ]

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read the data sets; images have the size of the normal ones."""
        normal, anomalies = (_load(one, config) for one in (self.normal, self.anomalies))
        assert normal is not None
        assert anomalies is not None
        side = normal.train.images.shape[1]
        number = np.arange(len(anomalies.train.names))
        tested = np.full(len(number), True) if self.overlap else number % TESTED == TESTED - 1
        trains = np.full(len(number), True) if self.overlap else ~tested
        train = [(normal.train.images[:], "train"), (anomalies.train.images[trains], "train")]
        test = [(normal.test.images[:], "test"), (anomalies.train.images[tested], "test")]
        names = [self.normal.name, self.anomalies.name]
        for other in self.others:
            found = _load(other, config, optional=True)
            if found is not None:
                test.append((_tested(other, found), "test"))
                names.append(other.name)
        return Source(self.name, _joined(train, names, side), _joined(test, names, side), tuple(names))


def _load(data_set: NamedDataSet, config: DataConfig, *, optional: bool = False) -> Source | None:
    from hscl_fast.data.named.registry import DEFAULT_ROOT  # here, because the registry lists this data set

    root = DEFAULT_ROOT if config.root is None else at_home(config.root)
    try:
        files = data_set.find(root, config.root is not None)
    except UsageError:
        if optional:
            return None
        raise
    return data_set.load(files, config)


def _tested(data_set: NamedDataSet, source: Source) -> Images:
    """Return the images that test: of LSUN (fix) all, which are the test set in CSI (Tack et al. 2020)."""
    if data_set is LSUN_FIX:
        return np.concatenate([source.train.images[:], source.test.images[:]])
    return source.test.images[:]


def _joined(parts: list[tuple[Images, str]], names: list[str], side: int) -> LabelledImages:
    """Return images of several data sets, each of which is a class, at one size."""
    images = np.concatenate([_sized(some, side) for some, _ in parts])
    labels = np.concatenate([np.full(len(some), label, np.int64) for label, (some, _) in enumerate(parts)])
    named = tuple(
        f"{name}/{part}/{index}" for name, (some, part) in zip(names, parts, strict=False) for index in range(len(some))
    )
    return LabelledImages(images, labels, named)


def _sized(images: Images, side: int) -> Images:
    from hscl_fast.data.decode import resize_images  # here, so that `hscl data list` does not wait for Pillow

    return resize_images(images, side)


def _scenario3(name: str, *, overlap: bool) -> Cross:
    return Cross(
        name=name,
        size=32,
        classes=5,
        train=CIFAR10.train + (IMAGENET_FIX.train if overlap else IMAGENET_FIX.train * (TESTED - 1) // TESTED),
        test=CIFAR10.test
        + (IMAGENET_FIX.train if overlap else IMAGENET_FIX.train // TESTED)
        + LSUN_FIX.train
        + LSUN_FIX.test
        + CIFAR100.test
        + SVHN.test,
        url="its parts, cifar10 and imagenet_fix, and for more tests lsun_fix, cifar100 and svhn",
        how_to_get="put the files of these data sets into {root}, each as `hscl data list` expects it",
        normal=CIFAR10,
        anomalies=IMAGENET_FIX,
        others=(LSUN_FIX, CIFAR100, SVHN),
        overlap=overlap,
    )


CIFAR10_IMAGENET = _scenario3("cifar10_imagenet", overlap=False)
CIFAR10_IMAGENET_OVERLAP = _scenario3("cifar10_imagenet_overlap", overlap=True)
