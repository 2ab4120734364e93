"""``data``: the images, and how roles are assigned to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hscl_fast.config.sections.requirements import require, require_counts, require_positive


@dataclass(frozen=True)
class DataConfig:
    """The images, and how roles are assigned to them.

    Parameters
    ----------
    name
        A data-set name (see ``hscl data list``), a folder, or a ``.csv``, ``.npz`` or ``.beton`` file.
    root
        Folder with the files of a named data set, or the folder that the paths in a CSV file are relative to.
        With ``--resume``, the new folder of data that has moved.
    image_size
        Side in pixels to which every image is resized. Unset: the data set's own size, or 32 for folders and CSV
        files; with pretrained weights the size that these were trained with, but five times the own size for a named
        data set of up to 32 pixels.
    bit_depth
        Bits of the values of image files with more than 8 bits per value, 1 to 32: 12 makes 4095 white. Unset: found
        in the images to train on, and said in a warning. The run keeps it and applies it to all images.
    float_white
        Value of floating-point image files that is white. Unset: found, 1 or 255, as ``bit_depth`` is.
    max_megapixels
        Image files with more million pixels are refused.
    protocol
        How roles are assigned to the images of a named data set: ``elsa``, ``released``, or ``labelled``, with which
        all images of the normal class are labelled normal and all others labelled anomalies.
    normal_class
        The normal class; all other classes are anomalies. Not used for your own images, which come with roles.
    known_abnormal_class
        The one anomaly class that labelled anomalies come from (``elsa``). Unset: the class after the normal one.
    labelled_ratio
        gamma_l: share of the training set that is labelled, for normals and for anomalies each.
    pollution_ratio
        gamma_p: share of anomalies hidden among the unlabelled images.
    superclasses
        Which 20 super-classes of CIFAR-100 to use: the ``standard`` ones or those of ``csi``.
    held_out_ratio
        Share of the labelled training images kept out of training, to fit the decision threshold and to choose the
        best checkpoint.
    seed
        Seed of the split.
    split_record
        A ``split.json`` whose split is reloaded exactly, instead of drawing a new one.
    labels
        A CSV file ``path,label`` with labels of training images, such as those that ``hscl review`` gives. They are put
        on top of the labels that the data or the split record has; what is held out or tested stays.
    exclude
        Files and folders of a folder of images to leave out: a pattern, such as ``*_mask.png``, or a list of patterns,
        ``["*_mask.png", "train/normal/old"]``. One with ``/`` is matched with the path relative to the folder, another
        with the name alone.
    follow_links
        Search folders that links lead to, and read images outside of the folder that links lead to.
    skip_bad
        Leave out image files that cannot be read, in place of an error. All are read once to find them.
    """

    name: str = "digits"
    root: str | None = None
    image_size: int | None = None
    bit_depth: int | None = None
    float_white: float | None = None
    max_megapixels: int = 67
    protocol: Literal["elsa", "released", "labelled"] = "elsa"
    normal_class: int = 0
    known_abnormal_class: int | None = None
    labelled_ratio: float = 0.05
    pollution_ratio: float = 0.10
    superclasses: Literal["standard", "csi"] = "standard"
    held_out_ratio: float = 0.2
    seed: int = 0
    split_record: str | None = None
    labels: str | None = None
    exclude: tuple[str, ...] | str = ()
    follow_links: bool = False
    skip_bad: bool = False

    def __post_init__(self) -> None:
        patterns = (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude)
        object.__setattr__(self, "exclude", patterns)  # so that two spellings of one configuration are equal
        require(all(patterns), "data.exclude", list(patterns), "one or more patterns, none of them empty")
        if self.image_size is not None:
            require(8 <= self.image_size <= 1024, "data.image_size", self.image_size, "between 8 and 1024 pixels")
        if self.bit_depth is not None:
            require(1 <= self.bit_depth <= 32, "data.bit_depth", self.bit_depth, "between 1 and 32 bits")
        if self.float_white is not None:
            require_positive("data", {"float_white": self.float_white})
        require_counts("data", self, ("max_megapixels",))
        require(self.normal_class >= 0, "data.normal_class", self.normal_class, "a class index, 0 or more")
        if self.known_abnormal_class is not None:
            known = self.known_abnormal_class
            require(known >= 0, "data.known_abnormal_class", known, "a class index, 0 or more")
            require(
                known != self.normal_class,
                "data.known_abnormal_class",
                known,
                "a class other than normal_class",
            )
        require(0 <= self.labelled_ratio < 0.5, "data.labelled_ratio", self.labelled_ratio, "in [0, 0.5)")
        require(0 <= self.pollution_ratio < 1, "data.pollution_ratio", self.pollution_ratio, "in [0, 1)")
        require(0 <= self.held_out_ratio < 1, "data.held_out_ratio", self.held_out_ratio, "in [0, 1)")
        require(0 <= self.seed < 2**63, "data.seed", self.seed, "in [0, 2**63)")


# The fields that are not flags of `hscl data prepare`: DATA is the name, and the others matter to training only.
NOT_PREPARED = {"name", "held_out_ratio", "split_record", "labels", "skip_bad"}
# The fields that are flags of `hscl data verify`, beside the data and its root.
VERIFIED = {"bit_depth", "float_white", "max_megapixels"}
# The fields that are not flags of `hscl data views`.
NO_PICTURE = {"name", "split_record", "labels"}
