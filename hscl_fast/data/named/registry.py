"""The list of the named data sets, the search for them on this machine, and the one way to load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named.cifar import CIFAR10, CIFAR100
from hscl_fast.data.named.cross import CIFAR10_IMAGENET, CIFAR10_IMAGENET_OVERLAP
from hscl_fast.data.named.data_set import NamedDataSet
from hscl_fast.data.named.digits import DIGITS
from hscl_fast.data.named.fashion_mnist import FASHION_MNIST
from hscl_fast.data.named.lsun_imagenet_fix import IMAGENET_FIX, LSUN_FIX
from hscl_fast.data.named.svhn import SVHN
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import Source
from hscl_fast.errors import UsageError
from hscl_fast.spelling import did_you_mean

DEFAULT_ROOT = Path("data")

# To add a data set, write a file beside this one and list it here; `hscl data list` keeps this order.
_ALL: tuple[NamedDataSet, ...] = (
    *(DIGITS, FASHION_MNIST, CIFAR10, CIFAR100, SVHN, LSUN_FIX, IMAGENET_FIX),
    *(CIFAR10_IMAGENET, CIFAR10_IMAGENET_OVERLAP),
)
DATA_SETS = {data_set.name: data_set for data_set in _ALL}


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


def load_source(config: DataConfig) -> Source:
    """Read a named data set with all its true labels.

    Parameters
    ----------
    config
        ``name``, ``root`` (``./data`` when unset) and ``superclasses`` are used.

    Returns
    -------
    Source
        Images at the data set's own size.

    Raises
    ------
    UsageError
        The name is unknown, or a file is missing or corrupt.
    """
    data_set = DATA_SETS.get(config.name)
    if data_set is None:
        raise UsageError(
            f"--data.name is {config.name!r}, which is not a named data set.{did_you_mean(config.name, DATA_SETS)} "
            f"Give one of {', '.join(DATA_SETS)}."
        )
    return data_set.load(data_set.find(_root(config.root), config.root is not None), config)


def describe_sources(root: str | None = None) -> list[SourceDescription]:
    """Describe every named data set, for ``hscl data list``.

    Parameters
    ----------
    root
        Folder to search; None searches the default places.
    """
    rows = []
    for data_set in DATA_SETS.values():
        layouts = data_set.layouts(_root(root), root is not None)
        rows.append(
            SourceDescription(
                name=data_set.name,
                size=data_set.size,
                classes=data_set.classes,
                train=data_set.train,
                test=data_set.test,
                looked_for=tuple(str(layout[0]) for layout in layouts if layout),
                present=any(all(path.is_file() for path in layout) for layout in layouts),
            )
        )
    return rows


def _root(root: str | None) -> Path:
    return DEFAULT_ROOT if root is None else at_home(root)
