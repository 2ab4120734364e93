"""The named data sets: what there is, where each is looked for, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named import cifar, digits, fashion_mnist, lsun_imagenet_fix, svhn
from hscl_fast.data.named.origin import Layout
from hscl_fast.data.types import Source
from hscl_fast.errors import UsageError

DEFAULT_ROOT = Path("data")

Layouts = Callable[[Path, bool], list[Layout]]


@dataclass(frozen=True)
class SourceInfo:
    """One named data set.

    Parameters
    ----------
    size
        Side of its images in pixels.
    classes
        Number of classes; 1 for a set that only serves as anomalies.
    train, test
        Number of images of the complete data set.
    layouts
        Root, and whether the user named it, to the alternative tuples of files.
    load
        Root, whether the user named it, and the configuration, to the data set.
    """

    size: int
    classes: int
    train: int
    test: int
    layouts: Layouts
    load: Callable[[Path, bool, DataConfig], Source]


@dataclass(frozen=True)
class SourceDescription:
    """A row of ``hscl data list``: sizes, the paths looked for, and whether the data is on this machine."""

    name: str
    size: int
    classes: int
    train: int
    test: int
    looked_for: tuple[str, ...]
    present: bool


def _lsun_layouts(root: Path, given: bool) -> list[Layout]:
    return [(folder / "correct_resize_0.png",) for folder in lsun_imagenet_fix.lsun_folders(root, given)]


def _imagenet_layouts(root: Path, given: bool) -> list[Layout]:
    folders = lsun_imagenet_fix.imagenet_folders(root, given)
    return [(next(iter(folder.glob("*.png")), folder / "*.png"),) for folder in folders]


SOURCES: dict[str, SourceInfo] = {
    "digits": SourceInfo(
        8, 10, 1195, 602, lambda _root, _given: [()], lambda _root, _given, _config: digits.load_digits()
    ),
    "fashion_mnist": SourceInfo(
        28, 10, 60000, 10000, fashion_mnist.layouts, lambda root, given, _config: fashion_mnist.load(root, given)
    ),
    "cifar10": SourceInfo(
        32, 10, 50000, 10000, cifar.CIFAR10.layouts, lambda root, _given, _config: cifar.load_cifar10(root)
    ),
    "cifar100": SourceInfo(
        32,
        20,
        50000,
        10000,
        cifar.CIFAR100.layouts,
        lambda root, _given, config: cifar.load_cifar100(root, config.superclasses),
    ),
    "svhn": SourceInfo(32, 10, 73257, 26032, svhn.layouts, lambda root, _given, _config: svhn.load(root)),
    "lsun_fix": SourceInfo(
        32, 10, 8000, 2000, _lsun_layouts, lambda root, given, _config: lsun_imagenet_fix.load_lsun(root, given)
    ),
    "imagenet_fix": SourceInfo(
        32, 1, 10000, 0, _imagenet_layouts, lambda root, given, _config: lsun_imagenet_fix.load_imagenet(root, given)
    ),
}


def load_source(config: DataConfig) -> Source:
    """Read a named data set with all its true labels.

    Parameters
    ----------
    config
        ``name``, ``root`` (``./data`` when unset) and ``superclasses`` count.

    Returns
    -------
    Source
        Images at the data set's own size.

    Raises
    ------
    UsageError
        The name is unknown, or a file is missing or corrupt.
    """
    info = SOURCES.get(config.name)
    if info is None:
        raise UsageError(
            f"--data.name is {config.name!r}, which is no named data set. Give one of {', '.join(SOURCES)}."
        )
    return info.load(_root(config.root), config.root is not None, config)


def describe_sources(root: str | None = None) -> list[SourceDescription]:
    """Describe every named data set, for ``hscl data list``.

    Parameters
    ----------
    root
        Where to look; the default places when unset.

    Returns
    -------
    list of SourceDescription
    """
    rows = []
    for name, info in SOURCES.items():
        layouts = info.layouts(_root(root), root is not None)
        present = any(all(path.is_file() for path in layout) for layout in layouts)
        looked_for = tuple(str(layout[0]) for layout in layouts if layout)
        rows.append(SourceDescription(name, info.size, info.classes, info.train, info.test, looked_for, present))
    return rows


def _root(root: str | None) -> Path:
    return DEFAULT_ROOT if root is None else Path(root).expanduser()
