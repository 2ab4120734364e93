"""A split: the images that one run is trained and tested on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hscl_fast.data.split.duplicates import Duplicate
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, Decoding, Mask, Remark, TestImages, TrainingImages

if TYPE_CHECKING:  # pydantic takes time to import, and most users of a split do not need it
    from hscl_fast.data.split.record import SplitRecord
    from hscl_fast.data.split.relabel import Judgement


@dataclass(frozen=True)
class Counts:
    """Number of images of each kind; ``pollution``, the anomalies among the unlabelled, is None where it is unknown."""

    labelled_normal: int
    unlabelled: int
    labelled_abnormal: int
    held_out_normal: int
    held_out_abnormal: int
    test_normal: int
    test_abnormal: int
    pollution: int | None


def count_images(record: SplitRecord, abnormal: Mask) -> Counts:
    """Count the training images of a record, and test images, which may be others: bool [m], True for anomalies."""
    train = record.train
    counted = Counter(zip(train.part, train.role, strict=True))
    hidden = [label for role, label in zip(train.role, train.label, strict=True) if role == UNLABELLED]
    return Counts(
        labelled_normal=counted["train", NORMAL],
        unlabelled=counted["train", UNLABELLED],
        labelled_abnormal=counted["train", ABNORMAL],
        held_out_normal=counted["held_out", NORMAL],
        held_out_abnormal=counted["held_out", ABNORMAL],
        test_normal=int((~abnormal).sum()),
        test_abnormal=int(abnormal.sum()),
        pollution=None if -1 in hidden else sum(label != record.normal_class for label in hidden),
    )


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one run, each in its part.

    Parameters
    ----------
    training
        The images and roles that training sees.
    held_out
        Labelled images kept out of training, with the roles +1 and -1; may be empty, images [0, H, W, 3].
    test
        The test images.
    class_names
        Name of each class id.
    normal_class
        The id of the normal class.
    record
        The split written down.
    training_names
        One name per training image: a path, or ``train/17`` where the images lie in one array.
    remarks
        How the data was read, where that is worth saying.
    judged
        The labels of ``data.labels``, which the roles above have.
    duplicates
        Pictures that a user's own data has twice, in uses that contradict each other.
    skipped
        Path and reason of the files that cannot be read as images and were left out.
    decoding
        See :class:`hscl_fast.data.types.UserImages`.
    """

    training: TrainingImages
    held_out: TrainingImages
    test: TestImages
    class_names: tuple[str, ...]
    normal_class: int
    record: SplitRecord
    training_names: tuple[str, ...]
    remarks: tuple[Remark, ...] = ()
    judged: tuple[Judgement, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    decoding: Decoding | None = None

    @property
    def counts(self) -> Counts:
        """Number of images of each kind."""
        return count_images(self.record, self.test.abnormal)

    @property
    def hidden_anomalies(self) -> Mask | None:
        """Which unlabelled images are anomalies, bool ``[unlabelled]``, to compare with; None where it is unknown."""
        train = self.record.train
        labels = np.array([label for role, label in zip(train.role, train.label, strict=True) if role == UNLABELLED])
        return None if (labels == -1).any() else labels != self.record.normal_class
