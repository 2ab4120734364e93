"""The kind of a data set, and a user's own data of each kind."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.data.beton.reader import open_user_beton
from hscl_fast.data.bit_depth import resolve_decoding
from hscl_fast.data.named.registry import DATA_SETS
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import ABNORMAL, Decoding, Kind, UserImages
from hscl_fast.data.user.csv_list import list_csv
from hscl_fast.data.user.folder import list_folder, list_test_folder
from hscl_fast.data.user.npz import load_npz, load_test_npz
from hscl_fast.data.user.passed import PassedArray, PassedImages
from hscl_fast.errors import UsageError
from hscl_fast.spelling import did_you_mean

DEFAULT_SIZE = 32
_SMALLEST = 8
_FILES: dict[str, Kind] = {".csv": "csv", ".npz": "npz", ".beton": "beton"}


def kind_of(config: DataConfig) -> Kind:
    """Return the kind of the data that ``config.name`` leads to.

    Raises
    ------
    UsageError
        ``config.name`` is neither a named data set nor data of any kind.
    """
    if config.name in DATA_SETS:
        return "named"
    path = _path(config)
    if os.path.isdir(path):  # pathlib raises for a name that is too long
        return "folder"
    kind = _FILES.get(path.suffix.lower())
    if kind is not None and os.path.isfile(path):
        return kind
    raise UsageError(
        f"--data.name is {config.name!r}, which is neither a data set nor a folder, a .csv, an .npz or a .beton "
        f"file that exists.{did_you_mean(config.name, DATA_SETS)} Give one of {', '.join(DATA_SETS)}, or the path of "
        "your own data."
    )


def files_root(config: DataConfig, kind: Kind) -> Path:
    """Return the folder that the image files of a folder or CSV data set must lie in."""
    if kind == "folder":
        return _path(config)
    return _path(config).parent if config.root is None else at_home(config.root)


def open_user_images(
    config: DataConfig, kind: Kind, passed: PassedImages | None = None, *, allow_missing: bool = False
) -> UserImages:
    """Return the user's own data with the roles that come with it; images in files are read on access.

    Parameters
    ----------
    config
        ``name``, ``root`` (of a CSV file), ``image_size``, how files are decoded, ``exclude`` and ``follow_links`` are
        used. Image files are decoded at ``image_size``, 32 when unset; the arrays of an ``.npz`` file and a ``.beton``
        keep their own size.
    kind
        The result of :func:`kind_of`, not ``named``.
    passed
        The images, where a program has them; None: those that ``config.name`` leads to.
    allow_missing
        Accept a CSV that lists files which do not exist; reading them fails.

    Raises
    ------
    UsageError
        The data does not exist, is not as :func:`list_folder`, :func:`list_csv`, :func:`load_npz` or
        :func:`open_user_beton` expect it, or all its training images are abnormal.
    """
    user = _open(config, kind, allow_missing) if passed is None else _open_passed(passed, config)
    require_not_all_abnormal(config, user)
    return user


def require_not_all_abnormal(config: DataConfig, user: UserImages) -> None:
    """Raise a :class:`UsageError` where there is nothing from which to learn what is normal."""
    if (user.roles == ABNORMAL).all():
        raise UsageError(
            f"{config.name} has {counted(len(user.roles), 'training image')}, all of them labelled abnormal, but "
            "what is normal is learned from normal or unlabelled ones. Add such images to train on, or correct the "
            "labels: -1 is abnormal, 0 unlabelled, 1 normal."
        )


def open_test_images(config: DataConfig, kind: Kind) -> UserImages:
    """Return the user's own images that a trained run is tested on; of a ``.beton`` the training images as well.

    Parameters
    ----------
    config, kind
        As for :func:`open_user_images`; the scale of the values is the one in ``config``, and not found in the images.

    Raises
    ------
    UsageError
        As for :func:`open_user_images`, but images to train on are not needed.
    """
    path = _path(config)
    if kind == "npz":
        return load_test_npz(path)
    if kind == "beton":
        return _open_test_beton(path, config)
    if kind == "csv":
        listing = list_csv(path, files_root(config, kind), follow_links=config.follow_links, only_test=True)
    else:
        listing = list_test_folder(path, config.exclude, follow_links=config.follow_links)
    size = config.image_size or DEFAULT_SIZE
    return listing.open(Decoding(size, config.bit_depth, config.float_white, config.max_megapixels))


def _open_test_beton(path: Path, config: DataConfig) -> UserImages:
    user = open_user_beton(path)
    size, wanted = user.source.test.images.shape[1], config.image_size
    if size != wanted:
        raise UsageError(
            f"The images of {path} have {size} x {size} pixels, but the run was trained on {wanted} x {wanted}. "
            f"Prepare the data again with `hscl data prepare --image_size {wanted}`."
        )
    assert user.decoding is not None
    for name in ("bit_depth", "float_white"):
        had, run = getattr(user.decoding, name), getattr(config, name)
        if None not in (had, run) and had != run:
            raise UsageError(
                f"{path} was prepared with {name} {had:g}, but the run was trained with {run:g}, so that equal "
                f"values would look different. Prepare the data again with `hscl data prepare --{name} {run:g}`."
            )
    return user


def _open(config: DataConfig, kind: Kind, allow_missing: bool) -> UserImages:
    path = _path(config)
    if kind == "npz":
        return _open_npz(path, config)
    if kind == "beton":
        return _open_beton(path, config)
    if kind == "csv":
        root = files_root(config, kind)
        listing = list_csv(path, root, allow_missing=allow_missing, follow_links=config.follow_links)
    else:
        listing = list_folder(path, config.exclude, follow_links=config.follow_links)
    decoding, remarks = resolve_decoding(
        config, config.image_size or DEFAULT_SIZE, listing.paths("train"), listing.paths("test")
    )
    return replace(listing, remarks=(*listing.remarks, *remarks)).open(decoding)


def _path(config: DataConfig) -> Path:
    return at_home(config.name)


def _open_passed(passed: PassedImages, config: DataConfig) -> UserImages:
    if isinstance(passed, PassedArray):
        return _enlargeable(passed.open(), "X", config)
    listing = passed.listing
    decoding, remarks = resolve_decoding(config, config.image_size or DEFAULT_SIZE, listing.paths("train"), [])
    return replace(listing, remarks=(*listing.remarks, *remarks)).open(decoding)


def _open_npz(path: Path, config: DataConfig) -> UserImages:
    return _enlargeable(load_npz(path), str(path), config)


def _enlargeable(user: UserImages, name: str, config: DataConfig) -> UserImages:
    """Return arrays, after refusing those that are too small to train on as they are."""
    height, width = user.source.train.images.shape[1:3]
    if config.image_size is None and height == width < _SMALLEST:
        raise UsageError(
            f"{name} has images of {height} x {width} pixels, smaller than the {_SMALLEST} that training needs. Give "
            "--data.image_size, to which they are enlarged."
        )
    return user


def _open_beton(path: Path, config: DataConfig) -> UserImages:
    user = open_user_beton(path)
    size = user.source.train.images.shape[1]
    if config.image_size not in (None, size):
        raise UsageError(
            f"--data.image_size is {config.image_size}, but the images of {path} have {size} x {size} pixels. Leave it "
            f"out, or prepare the data again with `hscl data prepare --image_size {config.image_size}`."
        )
    assert user.decoding is not None
    for name in ("bit_depth", "float_white"):
        given, had = getattr(config, name), getattr(user.decoding, name)
        if given not in (None, had):
            was = f"was prepared with {name} {had}" if had is not None else "was prepared from images that need none"
            raise UsageError(
                f"--data.{name} is {given}, but {path} {was}. Leave it out, or prepare the data again with it."
            )
    return user
