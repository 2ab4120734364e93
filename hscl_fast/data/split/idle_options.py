"""Refuses options of the data section that would do nothing, in place of ignoring them."""

from __future__ import annotations

from dataclasses import fields

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.find import is_excluded
from hscl_fast.data.named.registry import DATA_SETS
from hscl_fast.data.paths import at_home
from hscl_fast.data.split.record import SplitRecord
from hscl_fast.data.types import FILE_KINDS, Kind, Remark
from hscl_fast.errors import UsageError

_DEFAULTS = {field.name: field.default for field in fields(DataConfig)}
_DEALING = ("normal_class", "known_abnormal_class", "labelled_ratio", "pollution_ratio", "superclasses")
_WHAT = {"folder": "a folder", "csv": "a CSV file", "npz": "an .npz file", "beton": "a .beton file"}


def refuse_idle_root(config: DataConfig, kind: Kind) -> None:
    """Raise a :class:`UsageError` where ``root`` is given but nothing is looked for in it."""
    if config.root is None or kind == "csv":
        return
    if kind == "named" and any(DATA_SETS[config.name].layouts(at_home(config.root), True)):
        return
    where = "come with scikit-learn" if kind == "named" else f"is {_WHAT[kind]}, whose path says where the images are"
    raise UsageError(
        f"--data.root is {config.root!r}, but {config.name} {where}, so it would do nothing. Leave it out; it is for "
        "named data sets that are files, and for the folder that the paths of a CSV file are relative to."
    )


def refuse_idle_decoding(config: DataConfig, kind: Kind) -> None:
    """Raise a :class:`UsageError` where an option says how image files are decoded, but none are."""
    if kind in FILE_KINDS:
        return
    # A .beton is compared with the scale that it was prepared with.
    names = ("max_megapixels",) if kind == "beton" else ("max_megapixels", "bit_depth", "float_white")
    for name in names:
        if getattr(config, name) != _DEFAULTS[name]:
            raise UsageError(
                f"--data.{name} is {getattr(config, name)!r}, but {config.name} has no image files that are decoded, "
                "so it would do nothing. Leave it out; it is for folders and CSV files."
            )


def refuse_idle_options(config: DataConfig, kind: Kind) -> tuple[Remark, ...]:
    """Refuse options that say how roles are dealt out where nothing deals them like that.

    Parameters
    ----------
    config
        An option counts as given if it is not the default of its class.
    kind
        Of the data.

    Returns
    -------
    tuple of Remark
        What is ignored: ``protocol`` for a user's own data, since a recipe may have set it.

    Raises
    ------
    UsageError
        An option would do nothing. All such options are named.
    """
    refuse_idle_root(config, kind)
    _refuse_idle_for_files(config, kind)
    refuse_idle_decoding(config, kind)
    if kind == "named":
        _refuse_idle_for_named(config)
        return ()
    if idle := [name for name in _DEALING if getattr(config, name) != _DEFAULTS[name]]:
        given = " and ".join(f"--data.{name} is {getattr(config, name)!r}" for name in idle)
        raise UsageError(
            f"{given}, but {config.name} is {_WHAT[kind]}, which brings the role of every image along, so nothing is "
            f"dealt out and {'this' if len(idle) == 1 else 'these'} would do nothing. Leave "
            f"{' and '.join(f'--data.{name}' for name in idle)} out."
        )
    if config.protocol != _DEFAULTS["protocol"]:
        return (Remark(f"protocol {config.protocol} is not used: {config.name} brings the role of every image along"),)
    return ()


def _refuse_idle_for_files(config: DataConfig, kind: Kind) -> None:
    """Refuse options on the files of a user's folder or list where these are not read, or are listed by hand."""
    useful = {"folder": ("exclude", "follow_links", "skip_bad"), "csv": ("follow_links", "skip_bad")}.get(kind, ())
    for name in ("exclude", "follow_links", "skip_bad"):
        value = getattr(config, name)
        if value == _DEFAULTS[name] or name in useful:
            continue
        if kind == "csv":
            reason, fix = "lists the images one by one", "Take the lines of the images out, and leave"
        else:
            reason, fix = f"is {_WHAT.get(kind, 'a named data set')}, in which no image files are searched for", "Leave"
        shown = list(value) if isinstance(value, tuple) else value
        raise UsageError(
            f"--data.{name} is {shown!r}, but {config.name} {reason}, so it would do nothing. {fix} --data.{name} out."
        )


def _refuse_idle_for_named(config: DataConfig) -> None:
    if config.superclasses != _DEFAULTS["superclasses"] and config.name != "cifar100":
        raise UsageError(
            f"--data.superclasses is {config.superclasses!r}, but only cifar100 has super-classes and --data.name is "
            f"{config.name!r}. Leave --data.superclasses out."
        )
    if config.known_abnormal_class is not None and config.protocol != "elsa":
        raise UsageError(
            f"--data.known_abnormal_class is {config.known_abnormal_class}, but --data.protocol {config.protocol} "
            "labels anomalies of all classes, so it would do nothing. Leave it out, or give --data.protocol elsa."
        )
    if config.protocol == "labelled":
        for name in ("labelled_ratio", "pollution_ratio"):
            if getattr(config, name) != _DEFAULTS[name]:
                raise UsageError(
                    f"--data.{name} is {getattr(config, name)}, but --data.protocol labelled labels all images, so it "
                    "would do nothing. Leave it out, or give --data.protocol elsa."
                )


def remark_on_overruled(config: DataConfig, record: SplitRecord) -> tuple[Remark, ...]:
    """Say which of the options that were given the split record overrules.

    ``protocol`` and ``held_out_ratio`` are left out, since a recipe may have set them.
    """
    names = ("normal_class", "known_abnormal_class", "labelled_ratio", "pollution_ratio", "seed")
    images = (*record.train.image, *record.test.image) if config.exclude else ()
    excluded = [name for name in images if is_excluded(name, config.exclude)]
    overruled = [
        f"--data.{name} {getattr(config, name)}"
        for name in names
        if getattr(config, name) not in (_DEFAULTS[name], getattr(record, name))
    ]
    if excluded:
        overruled.append(f"--data.exclude, which matches {len(excluded):,} of its images, the first {excluded[0]}")
    if not overruled:
        return ()
    return (Remark(f"not used, because the split record has its own: {', '.join(overruled)}", doubt=True),)
