"""From the configuration to the split of a run: the one entry point for data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hscl_fast.config import DataConfig
from hscl_fast.data.csv_list import list_csv
from hscl_fast.data.folder import list_folder
from hscl_fast.data.image_set import Images, Source, Split, TestImages, TrainingImages, UserImages
from hscl_fast.data.images import resize_images
from hscl_fast.data.manifest import apply_manifest, digest_images, make_manifest, read_manifest
from hscl_fast.data.npz import load_npz
from hscl_fast.data.sources import SOURCES, load_source
from hscl_fast.data.splits import Assignment, assign_roles, choose_classes, hold_out
from hscl_fast.errors import UsageError

_FOLDER_SIZE = 32  # pixels, where a folder's images have no common size of their own
_SMALLEST = 8


def load_split(config: DataConfig) -> Split:
    """Load the images a configuration names and deal out their roles, or take the roles of its manifest.

    Parameters
    ----------
    config
        Data set, protocol, ratios, seed, sizes, manifest.

    Returns
    -------
    Split

    Raises
    ------
    UsageError
        The data are missing, damaged or too few for what is asked, or do not match the manifest.
    """
    kind, source, roles = _load(config)
    if config.manifest is not None:
        manifest = read_manifest(Path(config.manifest))
        assignment, classes = apply_manifest(manifest, kind, source, config)
    else:
        assignment, classes = _deal(config, kind, source, roles)
    train = _at_size(source.train.images[assignment.index], config)
    test = _at_size(source.test.images, config)
    digest = digest_images(train, test)
    if config.manifest is not None and manifest["images_sha256"] != digest:
        raise UsageError(
            f"--data.manifest {config.manifest} was made from other pixels than {config.name} has now. Restore the images "
            "and --data.image_size, or draw a new split by leaving out --data.manifest."
        )
    return _split(config, kind, source, assignment, classes, train, test, digest)


def verify_source(config: DataConfig) -> dict[str, Any]:
    """Read a whole data set and return what is in it.

    Returns
    -------
    dict
        ``data``, ``train`` and ``test`` (number of images and size), one entry a class, and ``sha256`` over all pixels
        and classes.

    Raises
    ------
    UsageError
        Something is missing or damaged.
    """
    _, source, _ = _load(config)
    facts: dict[str, Any] = {"data": config.name}
    parts = {"train": source.train, "test": source.test}
    for name, part in parts.items():
        size = "x".join(str(side) for side in part.images.shape[1:3])
        facts[name] = f"{len(part.images):,} images of {size} pixels"
    for label, class_name in enumerate(source.class_names):
        counts = [int((part.labels == label).sum()) for part in parts.values()]
        facts[f"class {label} ({class_name})"] = f"{counts[0]:,} train, {counts[1]:,} test"
    unknown = int((source.train.labels == -1).sum())
    if unknown:
        facts["unlabelled"] = f"{unknown:,} train"
    labels = [part.labels.astype("<i8").view(np.uint8) for part in parts.values()]
    facts["sha256"] = digest_images(source.train.images, source.test.images, *labels)
    return facts


def _load(config: DataConfig) -> tuple[str, Source, np.ndarray | None]:
    """The kind of data, all images, and for a user's data the roles that came with them."""
    if config.name in SOURCES:
        return "named", load_source(config), None
    user = _load_user(config, Path(config.name).expanduser())
    return user.kind, user.source, user.roles


def _load_user(config: DataConfig, path: Path) -> UserImages:
    size = config.image_size or _FOLDER_SIZE
    if path.is_dir():
        return list_folder(path).load(size)
    if path.is_file() and path.suffix.lower() == ".csv":
        root = path.parent if config.root is None else Path(config.root).expanduser()
        return list_csv(path, root).load(size)
    if path.is_file() and path.suffix.lower() == ".npz":
        return _square(path, load_npz(path), config)
    raise UsageError(
        f"DATA is {config.name!r}, which is neither a named data set ({', '.join(SOURCES)}) nor an existing folder, .csv or "
        ".npz file. Correct the name or the path."
    )


def _square(path: Path, user: UserImages, config: DataConfig) -> UserImages:
    height, width = user.source.train.images.shape[1:3]
    if config.image_size is None and (height != width or height < _SMALLEST):
        raise UsageError(
            f"{path} has images of {height} x {width} pixels, but the encoder needs square ones of {_SMALLEST} pixels or "
            "more. Give --data.image_size, to which they are resized."
        )
    return user


def _deal(
    config: DataConfig, kind: str, source: Source, roles: np.ndarray | None
) -> tuple[Assignment, tuple[int, int | None]]:
    if roles is None:
        if len(source.class_names) < 2:
            raise UsageError(
                f"{config.name} has one class only: it is a source of anomalies for runs across data sets, not a set with "
                f"a normal class. Train on one of {', '.join(name for name in SOURCES if SOURCES[name].classes > 1)}."
            )
        normal, known = choose_classes(source.class_names, config)
        dealt = assign_roles(source, config)
        classes: tuple[int, int | None] = (normal, known if config.protocol == "elsa" else None)
    else:
        dealt = Assignment(np.arange(len(roles)), roles, np.zeros(len(roles), np.bool_))
        classes = (0, None)
    return hold_out(dealt, config.held_out_ratio, config.seed), classes


def _at_size(images: Images, config: DataConfig) -> Images:
    size = config.image_size
    if size is None or images.shape[1:3] == (size, size):
        return images
    return resize_images(images, size)


def _split(
    config: DataConfig,
    kind: str,
    source: Source,
    assignment: Assignment,
    classes: tuple[int, int | None],
    train: Images,
    test: Images,
    digest: str,
) -> Split:
    kept, held = ~assignment.held_out, assignment.held_out
    return Split(
        training=TrainingImages(train[kept], assignment.roles[kept]),
        held_out=TrainingImages(train[held], assignment.roles[held]),
        test=TestImages(test, source.test.labels != classes[0], source.test.labels, source.test.names),
        class_names=source.class_names,
        normal_class=classes[0],
        manifest=make_manifest(kind, source, assignment, classes, config, digest),
    )
