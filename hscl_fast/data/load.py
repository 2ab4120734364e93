"""The one way from a configuration to a split."""

from __future__ import annotations

from typing import Any

import numpy as np

from hscl_fast.config import DataConfig
from hscl_fast.data.image_set import Images, LabelledImages, Source, Split, TestImages, TrainingImages
from hscl_fast.data.images import load_images, resize_images
from hscl_fast.data.locate import resolve_inside
from hscl_fast.data.manifest import FILE_KINDS, build_manifest, digest_arrays, digest_files
from hscl_fast.data.manifest_check import read_manifest
from hscl_fast.data.sources import SOURCES, load_source
from hscl_fast.data.splits import Assignment, assign_roles, choose_classes, hold_out
from hscl_fast.data.user_data import DEFAULT_SIZE, files_root, kind_of, load_user_images
from hscl_fast.errors import UsageError


def load_split(config: DataConfig) -> Split:
    """Load a data set and deal it out, or reload a split from its manifest.

    A named data set is dealt out by ``config.protocol`` and tested on all its test images; a user's own data has its
    roles already, and its class 0 is normal. With ``config.manifest`` all of protocol, classes, ratios and seed come
    from the manifest.

    Parameters
    ----------
    config
        The ``data`` section of the configuration.

    Returns
    -------
    Split
        Images uint8 [n, S, S, 3] with S ``config.image_size``; unset: the size of the data set or of the ``.npz``
        file's square images, else 32.

    Raises
    ------
    UsageError
        The data is missing or corrupt, the classes or ratios do not fit it, or the manifest is not valid or was
        written for other data.
    """
    kind = kind_of(config)
    if kind == "named" and SOURCES[config.name].classes < 2:
        raise UsageError(
            f"--data.name is {config.name!r}, which is a source of anomalies for cross-data-set runs and has no "
            "classes to tell normal from abnormal. Give a data set with classes, such as cifar10."
        )
    if config.manifest is not None:
        return _reload(config, kind, config.manifest)
    if kind == "named":
        source = load_source(config)
        normal, known = choose_classes(source.class_names, config)
        assignment = assign_roles(source, config)
        classes = (normal, known if config.protocol == "elsa" else None)
    else:
        user = load_user_images(config)
        source, classes = user.source, (0, None)
        count = len(user.roles)
        assignment = Assignment(np.arange(count), user.roles, np.zeros(count, np.bool_))
    assignment = hold_out(assignment, config.held_out_ratio, config.seed)
    used = source.train.images[assignment.index]
    digest = _digest(config, kind, [source.train.names[i] for i in assignment.index], used, source.test)
    manifest = build_manifest(config, kind, source, assignment, classes, digest)
    return assemble(source, assignment, manifest, config.image_size)


def assemble(source: Source, assignment: Assignment, manifest: dict[str, Any], image_size: int | None) -> Split:
    """Cut a source up as assigned. No true label of a training image passes through here but by the manifest.

    Parameters
    ----------
    source
        All images.
    assignment
        Which training images are used, and as what.
    manifest
        The same, written down, with the class that counts as normal.
    image_size
        Side to resize to, or None.

    Returns
    -------
    Split
    """
    height, width = source.train.images.shape[1:3]
    size = image_size or (height if height == width else DEFAULT_SIZE)
    training, held_out = (
        TrainingImages(resize_images(source.train.images[assignment.index[mask]], size), assignment.roles[mask])
        for mask in (~assignment.held_out, assignment.held_out)
    )
    normal, test = manifest["normal_class"], source.test
    return Split(
        training,
        held_out,
        TestImages(resize_images(test.images, size), test.labels != normal, test.labels, test.names),
        source.class_names,
        normal,
        manifest,
    )


def _digest(config: DataConfig, kind: str, names: list[str], train: Images, test: LabelledImages) -> str:
    if kind in FILE_KINDS:
        return digest_files([files_root(config) / name for name in (*names, *test.names)])
    return digest_arrays([train, test.images])


def _reload(config: DataConfig, kind: str, path: str) -> Split:
    manifest = read_manifest(path)
    if manifest["kind"] != kind or (kind == "named" and manifest["name"] != config.name):
        raise UsageError(
            f"{path} was written for {manifest['name']!r} ({manifest['kind']}), but --data.name is {config.name!r} "
            f"({kind}). Give the data set it was written for, or leave --data.manifest out."
        )
    train = manifest["train"]
    roles = np.array(train["role"], np.int8)
    held_out = np.array([part == "held_out" for part in train["part"]], np.bool_)
    if kind in FILE_KINDS:
        source = _source_of_files(config, manifest, path)
        index = np.arange(len(roles))
    else:
        source, index = _source_of_arrays(config, kind, manifest, path)
    names = [source.train.names[i] for i in index]
    if _digest(config, kind, names, source.train.images[index], source.test) != manifest["sha256"]:
        raise UsageError(
            f"{path} does not fit the images of {config.name}: they have changed since it was written (sha256). "
            "Restore the images, or leave --data.manifest out to draw a new split."
        )
    return assemble(source, Assignment(index, roles, held_out), manifest, config.image_size)


def _source_of_files(config: DataConfig, manifest: dict[str, Any], path: str) -> Source:
    root, size = files_root(config), config.image_size or DEFAULT_SIZE
    parts, seen = [], set()
    for part in ("train", "test"):
        names = manifest[part]["image"]
        files = [resolve_inside(root, name) for name in names]
        for name, file in zip(names, files, strict=True):
            if file is None or file in seen:
                reason = "leads outside of it" if file is None else "is a link to another image of the split"
                raise UsageError(
                    f"{path} names the image {name!r} in {root}, which {reason}. Put the image itself there, or "
                    "leave --data.manifest out to draw a new split."
                )
            seen.add(file)
        images = load_images([root / name for name in names], size)
        parts.append(LabelledImages(images, np.array(manifest[part]["label"], np.int64), tuple(names)))
    return Source(root.name, parts[0], parts[1], tuple(manifest["class_names"]))


def _source_of_arrays(config: DataConfig, kind: str, manifest: dict[str, Any], path: str) -> tuple[Source, np.ndarray]:
    source = load_source(config) if kind == "named" else load_user_images(config).source
    if tuple(manifest["class_names"]) != source.class_names:
        raise UsageError(
            f"{path} has the classes {', '.join(manifest['class_names'])}, but {config.name} has "
            f"{', '.join(source.class_names)}. Give the --data.superclasses it was written with."
        )
    chosen = {}
    for part, images in (("train", source.train), ("test", source.test)):
        index = manifest[part]["image"]
        if index and max(index) >= len(images.labels):
            raise UsageError(
                f"{path} has {part} image {max(index)}, but {config.name} has {len(images.labels)}. Give the data it "
                "was written for, or leave --data.manifest out."
            )
        chosen[part] = np.array(index, np.int64)
        if images.labels[chosen[part]].tolist() != manifest[part]["label"]:
            raise UsageError(
                f"{path} gives {part} images of {config.name} other classes than they have. Give the unchanged "
                "split.json of a run, or leave --data.manifest out."
            )
    test, kept = source.test, chosen["test"]
    test = LabelledImages(test.images[kept], test.labels[kept], tuple(test.names[i] for i in kept))
    return Source(source.name, source.train, test, source.class_names), chosen["train"]
