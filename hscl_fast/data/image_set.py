"""The one in-memory form of images: what a source holds, and what training and testing may see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hscl_fast.data.roles import ABNORMAL, NORMAL, UNLABELLED

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Roles = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with their true classes, as a data set ships them.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    labels
        int64 [n], class ids; -1 where a user's image is unlabelled and its class is unknown.
    names
        A path, or ``train/17`` where the images lie in one array.
    fine_labels
        int64 [n], the finer classes that ``labels`` groups (CIFAR-100), or None.
    """

    images: Images
    labels: Labels
    names: tuple[str, ...]
    fine_labels: Labels | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A data set with every true label, before anything is hidden."""

    name: str
    train: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class UserImages:
    """A user's own data: its roles come with it, so no protocol deals them out.

    Parameters
    ----------
    kind
        ``folder``, ``csv`` or ``npz``.
    source
        Class 0 is normal; ``labels`` is -1 for unlabelled images.
    roles
        int8 [n] of ``source.train``.
    """

    kind: str
    source: Source
    roles: Roles


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """All that training may see: images and roles, never true labels.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    roles
        int8 [n]: +1 normal, 0 unlabelled, -1 abnormal.
    """

    images: Images
    roles: Roles


@dataclass(frozen=True, eq=False)
class TestImages:
    """Images to score, and the truth to compare the scores with.

    Parameters
    ----------
    images
        uint8 [m, H, W, 3].
    abnormal
        bool [m].
    classes
        int64 [m], class ids.
    names
        One name an image.
    """

    __test__ = False  # the name would make pytest collect the class

    images: Images
    abnormal: Mask
    classes: Labels
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """A data set dealt out for one run.

    Parameters
    ----------
    training
        What training sees.
    held_out
        Labelled images kept out of training (roles only +1 and -1); may be empty, images [0, H, W, 3].
    test
        The test images.
    class_names
        Name of each class id.
    normal_class
        The class id that counts as normal.
    manifest
        The split as plain JSON values: see :mod:`hscl_fast.data.manifest`.
    """

    training: TrainingImages
    held_out: TrainingImages
    test: TestImages
    class_names: tuple[str, ...]
    normal_class: int
    manifest: dict[str, Any]

    @property
    def counts(self) -> dict[str, int | None]:
        """Images of each kind; ``pollution`` (anomalies hidden among the unlabelled) is None when unknown."""
        training, held_out, abnormal = self.training.roles, self.held_out.roles, self.test.abnormal
        return {
            "labelled_normal": int((training == NORMAL).sum()),
            "unlabelled": int((training == UNLABELLED).sum()),
            "labelled_abnormal": int((training == ABNORMAL).sum()),
            "held_out_normal": int((held_out == NORMAL).sum()),
            "held_out_abnormal": int((held_out == ABNORMAL).sum()),
            "test_normal": int((~abnormal).sum()),
            "test_abnormal": int(abnormal.sum()),
            "pollution": self._pollution(),
        }

    def _pollution(self) -> int | None:
        train = self.manifest["train"]
        hidden = [label for role, label in zip(train["role"], train["label"], strict=True) if role == UNLABELLED]
        if -1 in hidden:
            return None
        return sum(label != self.normal_class for label in hidden)
