"""Roles, the labels that training uses: +1 normal, 0 unlabelled, -1 abnormal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, Remark
from hscl_fast.errors import UsageError

_MEANING = (
    "Expected +1 (normal), 0 (unlabelled) or -1 (abnormal). Here 0 means unlabelled and -1 abnormal, while "
    "scikit-learn's semi-supervised module uses -1 for unlabelled: recode y before passing it"
)


def check_labels(y: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return ``y`` as roles after checking every value.

    >>> check_labels([1, 0, -1])
    array([ 1,  0, -1], dtype=int8)

    Parameters
    ----------
    y
        [n] of numbers, each +1 normal, 0 unlabelled or -1 abnormal.

    Returns
    -------
    int8 [n]

    Raises
    ------
    UsageError
        ``y`` is not one-dimensional, not numeric, or holds another value.
    """
    try:
        values = np.asarray(y)
    except ValueError as error:
        raise UsageError(f"y cannot be read as one array of labels ({error}). {_MEANING}.") from None
    if values.ndim != 1:
        raise UsageError(f"y has shape {values.shape}, but must have one label per image, shape [n]. {_MEANING}.")
    if values.size and values.dtype.kind not in "iuf":
        raise UsageError(f"y has dtype {values.dtype} (first value {values.tolist()[0]!r}), not numbers. {_MEANING}.")
    wrong = ~np.isin(values, (NORMAL, UNLABELLED, ABNORMAL))
    if wrong.any():
        index = int(wrong.argmax())
        raise UsageError(f"y[{index}] is {values[index].item()!r}, which is not a label. {_MEANING}.")
    return values.astype(np.int8)


# How a table says the role of an image, in small letters.
ROLE_OF = {
    "1": NORMAL,
    "+1": NORMAL,
    "normal": NORMAL,
    "0": UNLABELLED,
    "unlabeled": UNLABELLED,
    "unlabelled": UNLABELLED,
    "-1": ABNORMAL,
    "abnormal": ABNORMAL,
}
WORD_FOR = {NORMAL: "normal", UNLABELLED: "unlabelled", ABNORMAL: "abnormal"}

RECODE = "if 1 stands for an anomaly in this data, recode: anomalies are -1, normal images 1"


def remark_on_zeros_and_ones(values: set[int], name: str) -> tuple[Remark, ...]:
    """Warn where labels are 0 and 1 only, which elsewhere often mean normal and abnormal.

    Parameters
    ----------
    values
        All labels of the data, of training and of test images.
    name
        What the user calls the labels.
    """
    if values != {UNLABELLED, NORMAL}:
        return ()
    return (Remark(f"{name} has 0 and 1 only: read as 0 unlabelled, 1 normal; {RECODE}", doubt=True),)


def remark_on_labels(roles: npt.NDArray[np.int8]) -> tuple[Remark, ...]:
    """Warn where the labels that a program gives look like those of another convention."""
    abnormal = int((roles == ABNORMAL).sum())
    if 2 * abnormal > len(roles):
        return (
            Remark(
                f"y calls {abnormal:,} of {len(roles):,} images abnormal (-1): scikit-learn's semi-supervised module "
                "uses -1 for unlabelled, which is 0 here",
                doubt=True,
            ),
        )
    return remark_on_zeros_and_ones(set(roles.tolist()), "y")
