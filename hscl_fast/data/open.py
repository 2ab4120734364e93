"""The one way from a configuration to a split."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.bit_depth import resolve_decoding
from hscl_fast.data.decode import lazy_files, resize_images
from hscl_fast.data.kinds import DEFAULT_SIZE, files_root, kind_of, open_user_images, require_not_all_abnormal
from hscl_fast.data.named.registry import DATA_SETS, load_source
from hscl_fast.data.paths import resolve_inside
from hscl_fast.data.shrinking import remark_on_shrinking
from hscl_fast.data.skip_bad import without_bad_files
from hscl_fast.data.split.content import Contents, hash_contents
from hscl_fast.data.split.idle_options import (
    refuse_idle_decoding,
    refuse_idle_options,
    refuse_idle_root,
    remark_on_overruled,
)
from hscl_fast.data.split.protocols import Assignment, assign_roles, choose_classes, hold_out
from hscl_fast.data.split.record import (
    SplitRecord,
    build_record,
    digest_arrays,
    digest_files,
    read_record,
    relabelled,
)
from hscl_fast.data.split.relabel import relabel
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import (
    FILE_KINDS,
    AnyImages,
    Decoding,
    Kind,
    LabelledImages,
    Labels,
    LazyImages,
    Remark,
    Source,
    TestImages,
    TrainingImages,
    take,
)
from hscl_fast.data.user.listing import ABNORMAL_NAME
from hscl_fast.data.user.passed import PassedImages
from hscl_fast.errors import UsageError

_MOVED = (
    "If the data of a run has moved, say where it is now: `hscl eval RUN --root NEW` or `hscl train --out RUN --resume "
    "--data.root NEW`."
)

Part = TypeVar("Part", TrainingImages, TestImages)


@dataclass(frozen=True, eq=False)
class SourceWithRoles:
    """A data set with its roles, before anything is held out.

    Parameters
    ----------
    kind
        The result of :func:`hscl_fast.data.kinds.kind_of`.
    source
        The images and true labels.
    assignment
        The training images that are used, and their roles.
    classes
        The normal class id, and the known anomaly class id or None.
    digest
        The SHA-256 that stands for the images, where the data comes with one.
    remarks
        How the data was read, where that is worth saying.
    skipped
        Path and reason of the files that cannot be read as images and were left out.
    decoding
        See :class:`hscl_fast.data.types.UserImages`.
    """

    kind: Kind
    source: Source
    assignment: Assignment
    classes: tuple[int, int | None]
    digest: str | None = None
    remarks: tuple[Remark, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    decoding: Decoding | None = None


def load_split(config: DataConfig) -> Split:
    """Load a split into memory: see :func:`open_split`."""
    return in_memory(open_split(config))


def open_split(config: DataConfig, passed: PassedImages | None = None, *, resized: bool = True) -> Split:
    """Split a data set, or reload a split from its record; images in files are read on access.

    A named data set is split by ``config.protocol`` and tested on all its test images; a user's own data has its
    roles along. With ``config.split_record``, protocol, classes, ratios and seed come from the record. The labels in
    ``config.labels`` are put on top: see :func:`hscl_fast.data.split.relabel.relabel`.

    Parameters
    ----------
    config
        The ``data`` section of the configuration.
    passed
        Images and roles that a program has, of which ``config`` says where they will lie
        (:meth:`hscl_fast.data.user.passed.PassedArray.placed`); None: what ``config`` leads to.
    resized
        False leaves images that lie in arrays at their own size.

    Returns
    -------
    Split
        Images uint8 [n, S, S, 3] with S ``config.image_size``; unset: the size of the data set or of the ``.npz``
        file's square images, else 32. Those of a folder, a CSV or a ``.beton`` are read on access.

    Raises
    ------
    UsageError
        The data is missing or corrupt, the classes or ratios do not fit it, or the record is not valid or was
        written for other data.
    """
    if config.split_record is not None:
        return _reload(config, config.split_record, resized=resized)
    loaded = load_with_roles(config, passed)
    given = relabel(
        config.labels,
        loaded.kind,
        loaded.source,
        hold_out(loaded.assignment, config.held_out_ratio, config.seed),
        normal_class=loaded.classes[0],
        held_out_ratio=config.held_out_ratio,
        seed=config.seed,
    )
    source, assignment = given.source, given.assignment
    contents = _contents(config, loaded.kind, source, assignment, loaded.classes[0])
    digest = loaded.digest or _digest(loaded.kind, source, assignment.index, contents)
    record = build_record(config, loaded.kind, source, assignment, loaded.classes, digest)
    split = assemble(source, assignment, record, config.image_size, resized=resized)
    return replace(
        split,
        remarks=(*loaded.remarks, *given.remarks),
        judged=given.judged,
        duplicates=contents.duplicates if contents else (),
        skipped=loaded.skipped,
        decoding=loaded.decoding,
    )


def load_with_roles(
    config: DataConfig, passed: PassedImages | None = None, *, allow_missing: bool = False
) -> SourceWithRoles:
    """Assign roles, or use those that come with a user's own data.

    Parameters
    ----------
    config
        The ``data`` section of the configuration, without ``split_record``.
    passed
        As for :func:`open_split`.
    allow_missing
        Accept a CSV that lists files which do not exist; reading them fails.

    Raises
    ------
    UsageError
        As for :func:`open_split`; or an option of the section would do nothing for this kind of data.
    """
    kind = kind_of(config) if passed is None else passed.kind
    idle = refuse_idle_options(config, kind)
    if kind == "named":
        _require_classes(config)
        source = load_source(config)
        normal, known = choose_classes(source.class_names, config)
        classes = (normal, known if config.protocol == "elsa" else None)
        return SourceWithRoles(kind, source, assign_roles(source, config), classes)
    user = open_user_images(config, kind, passed, allow_missing=allow_missing or config.skip_bad)
    if config.skip_bad:
        user = without_bad_files(user)
        require_not_all_abnormal(config, user)
    count = len(user.roles)
    assignment = Assignment(np.arange(count), user.roles, np.zeros(count, np.bool_))
    return SourceWithRoles(
        kind,
        user.source,
        assignment,
        (user.normal_class, None),
        user.digest,
        (*user.remarks, *idle, *remark_on_sizes(user.source, config.image_size)),
        user.skipped,
        user.decoding,
    )


def in_memory(split: Split) -> Split:
    """Return the split with all its images read; BadImages names every file that cannot be read."""
    bad: list[tuple[str, str]] = []

    def read(part: Part) -> Part:
        try:
            return replace(part, images=part.images[:])
        except BadImages as error:
            bad.extend(error.files)
            return part

    read_split = replace(split, training=read(split.training), held_out=read(split.held_out), test=read(split.test))
    if bad:
        raise BadImages(bad)
    return read_split


def side_of(source: Source, image_size: int | None) -> int:
    """Return the side in pixels to which a source's images are resized, ``image_size`` where it is set."""
    height, width = source.train.images.shape[1:3]
    return image_size or (height if height == width else DEFAULT_SIZE)


def remark_on_sizes(source: Source, image_size: int | None) -> tuple[Remark, ...]:
    """See :func:`hscl_fast.data.shrinking.remark_on_shrinking`; for a user's own data."""
    return remark_on_shrinking(source.train.images, side_of(source, image_size))


def assemble(
    source: Source, assignment: Assignment, record: SplitRecord, image_size: int | None, *, resized: bool = True
) -> Split:
    """Cut a source up as assigned. The true labels of training images go into the record and nowhere else.

    Parameters
    ----------
    source
        All images.
    assignment
        The training images that are used, and their roles.
    record
        The record of this split, which has the normal class.
    image_size
        Side to resize to, or None.
    resized
        False leaves images that lie in arrays at their own size.

    Returns
    -------
    Split
    """
    size = side_of(source, image_size) if resized else None
    training, held_out = (
        TrainingImages(_sized(take(source.train.images, assignment.index[mask]), size), assignment.roles[mask])
        for mask in (~assignment.held_out, assignment.held_out)
    )
    normal, test = record.normal_class, source.test
    return Split(
        training,
        held_out,
        TestImages(_sized(test.images, size), test.labels != normal, test.labels, test.names),
        source.class_names,
        normal,
        record,
        tuple(source.train.names[i] for i in assignment.index[~assignment.held_out]),
    )


def _sized(images: AnyImages, size: int | None) -> AnyImages:
    # Images that are not in memory were opened at their size.
    return images if size is None or isinstance(images, LazyImages) else resize_images(images, size)


def _require_classes(config: DataConfig) -> None:
    if DATA_SETS[config.name].classes < 2:
        raise UsageError(
            f"--data.name is {config.name!r}, which is a source of anomalies for cross-data-set runs and has no "
            "classes to tell normal from abnormal. Give a data set with classes, such as cifar10."
        )


def _contents(
    config: DataConfig, kind: Kind, source: Source, assignment: Assignment, normal_class: int
) -> Contents | None:
    """Return the hash of every image of a user's own data; the user cannot change those of a named data set."""
    if kind == "named":
        return None
    train, index = source.train, assignment.index
    names = tuple(train.names[i] for i in index)
    chosen = LabelledImages(take(train.images, index), train.labels[index], names)
    root = files_root(config, kind) if kind in FILE_KINDS else None
    return hash_contents(chosen, assignment.roles, source.test, normal_class, root, assignment.held_out)


def _digest(kind: Kind, source: Source, index: Labels, contents: Contents | None) -> str:
    if kind in FILE_KINDS:
        assert contents is not None
        return digest_files(contents.hashes)
    return digest_arrays([take(source.train.images, index), source.test.images])


def _reload(config: DataConfig, path: str, *, resized: bool) -> Split:
    record = read_record(path)
    kind = _kind_of_recorded(config, record, path)
    refuse_idle_root(config, kind)
    refuse_idle_decoding(config, kind)
    if kind == "named":
        _require_classes(config)
    if record.kind != kind or (kind == "named" and record.name != config.name):
        raise UsageError(
            f"{path} was written for {record.name!r} ({record.kind}), but --data.name is {config.name!r} "
            f"({kind}). Give the data set it was written for, or leave --data.split_record out."
        )
    train = record.train
    roles = np.array(train.role, np.int8)
    held_out = np.array([part == "held_out" for part in train.part], np.bool_)
    if kind in FILE_KINDS:
        decoding: Decoding | None
        source, decoding, assumed = _source_of_files(config, record, path)
        index, digest = np.arange(len(roles)), None
    else:
        source, index, digest, decoding = _source_of_arrays(config, record, path)
        assumed = ()
    given = relabel(
        config.labels,
        kind,
        source,
        Assignment(index, roles, held_out),
        normal_class=record.normal_class,
        held_out_ratio=record.held_out_ratio,
        seed=record.seed,
    )
    source, assignment = given.source, given.assignment
    contents = _recorded_contents(config, record, source, assignment, path)
    if (digest or _digest(kind, source, index, contents)) != record.sha256:
        where = config.name if kind not in FILE_KINDS else str(files_root(config, kind))
        raise UsageError(
            f"{path} does not fit the images of {where}: they have changed since it was written (sha256). "
            "Restore the images, or leave --data.split_record out to draw a new split."
        )
    if given.judged:
        record = relabelled(record, source, assignment)
    split = assemble(source, assignment, record, config.image_size, resized=resized)
    remarks = (*assumed, *remark_on_overruled(config, record), *given.remarks)
    if kind != "named":
        remarks += remark_on_sizes(source, config.image_size)
    found = contents.duplicates if contents else ()
    return replace(split, remarks=remarks, judged=given.judged, duplicates=found, decoding=decoding)


def _kind_of_recorded(config: DataConfig, record: SplitRecord, path: str) -> Kind:
    # A CSV is not read again, since the record has its lines.
    if record.kind == "csv" and config.name.lower().endswith(".csv"):
        return "csv"
    try:
        return kind_of(config)
    except UsageError:
        if record.kind == "named":
            raise
        raise UsageError(
            f"--data.name is {config.name!r}, but there is nothing that {path} could be the split of. Give the path of "
            f"the data. {_MOVED}"
        ) from None


def _recorded_contents(
    config: DataConfig, record: SplitRecord, source: Source, assignment: Assignment, path: str
) -> Contents | None:
    try:
        return _contents(config, record.kind, source, assignment, record.normal_class)
    except BadImages as error:
        root = files_root(config, record.kind)
        count = len(source.train.names) + len(source.test.names)
        if len(error.files) < count or any(os.path.lexists(file) for file, _ in error.files):
            raise
        raise UsageError(f"None of {counted(count, 'image')} of {path} is in {root}. {_MOVED}") from None


def _source_of_files(config: DataConfig, record: SplitRecord, path: str) -> tuple[Source, Decoding, tuple[Remark, ...]]:
    root, size = files_root(config, record.kind), config.image_size or DEFAULT_SIZE
    seen = set()
    train, test = ([root / name for name in part.image] for part in (record.train, record.test))
    for part in (record.train, record.test):
        names = part.image
        files = [
            Path(os.path.realpath(root / name)) if config.follow_links else resolve_inside(root, name) for name in names
        ]
        for name, file in zip(names, files, strict=True):
            if file is None or file in seen:
                reason = "leads outside of it" if file is None else "is a link to another image of the split"
                follow = "follow links with --data.follow_links true, or " if file is None else "or "
                raise UsageError(
                    f"{path} names the image {name!r} in {root}, which {reason}. Put the image itself there, "
                    f"{follow}leave --data.split_record out to draw a new split."
                )
            seen.add(file)
    decoding, remarks = resolve_decoding(config, size, train, test)
    first, second = (
        LabelledImages(lazy_files(files, decoding), np.array(part.label, np.int64), tuple(part.image))
        for files, part in ((train, record.train), (test, record.test))
    )
    return Source(root.name, first, second, tuple(record.class_names)), decoding, remarks


def _source_of_arrays(
    config: DataConfig, record: SplitRecord, path: str
) -> tuple[Source, Labels, str | None, Decoding | None]:
    digest, decoding = None, None
    if record.kind == "named":
        source = load_source(config)
    else:
        user = open_user_images(config, record.kind)
        source, digest, decoding = user.source, user.digest, user.decoding
    # A class for anomalies was added where labels were given later to a .beton that had none.
    known, added = tuple(record.class_names[: len(source.class_names)]), record.class_names[len(source.class_names) :]
    if known != source.class_names or (added and (record.kind != "beton" or added != [ABNORMAL_NAME])):
        raise UsageError(
            f"{path} has the classes {', '.join(record.class_names)}, but {config.name} has "
            f"{', '.join(source.class_names)}. Give the --data.superclasses it was written with."
        )
    chosen = {}
    for part, images, recorded in (("train", source.train, record.train), ("test", source.test, record.test)):
        index = recorded.image
        if index and max(index) >= len(images.labels):
            raise UsageError(
                f"{path} has {part} image {max(index)}, but {config.name} has {len(images.labels)}. Give the data it "
                "was written for, or leave --data.split_record out."
            )
        chosen[part] = np.array(index, np.int64)
        # A user's own training images may have got other labels since, see relabel.
        if (part == "test" or record.kind == "named") and images.labels[chosen[part]].tolist() != recorded.label:
            raise UsageError(
                f"{path} gives {part} images of {config.name} other classes than they have. Give the unchanged "
                "split.json of a run, or leave --data.split_record out."
            )
    test, kept = source.test, chosen["test"]
    test = LabelledImages(take(test.images, kept), test.labels[kept], tuple(test.names[i] for i in kept))
    labels = source.train.labels.copy()
    labels[chosen["train"]] = record.train.label
    train = replace(source.train, labels=labels)
    return Source(source.name, train, test, tuple(record.class_names)), chosen["train"], digest, decoding
