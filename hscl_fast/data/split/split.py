"""A split: the images that one run is trained and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hscl_fast.data.split.duplicates import Duplicate
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, Decoding, Remark, TestImages, TrainingImages

if TYPE_CHECKING:  # pydantic takes time to import, and most users of a split do not need it
    from hscl_fast.data.split.record import SplitRecord


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
    remarks
        How the data was read, where that is worth saying.
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
    remarks: tuple[Remark, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    decoding: Decoding | None = None

    @property
    def counts(self) -> Counts:
        """Number of images of each kind."""
        training, held_out, abnormal = self.training.roles, self.held_out.roles, self.test.abnormal
        return Counts(
            labelled_normal=int((training == NORMAL).sum()),
            unlabelled=int((training == UNLABELLED).sum()),
            labelled_abnormal=int((training == ABNORMAL).sum()),
            held_out_normal=int((held_out == NORMAL).sum()),
            held_out_abnormal=int((held_out == ABNORMAL).sum()),
            test_normal=int((~abnormal).sum()),
            test_abnormal=int(abnormal.sum()),
            pollution=self._pollution(),
        )

    def _pollution(self) -> int | None:
        train = self.record.train
        hidden = [label for role, label in zip(train.role, train.label, strict=True) if role == UNLABELLED]
        if -1 in hidden:
            return None
        return sum(label != self.normal_class for label in hidden)
