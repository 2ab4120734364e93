"""Whether the training images suffice to calibrate a score."""

from __future__ import annotations

from hscl_fast.config.scores import needs_of
from hscl_fast.counted import counted
from hscl_fast.data.types import ABNORMAL, NORMAL, Roles
from hscl_fast.errors import UsageError

_LEAST = 2  # one image has neither a neighbour nor a variance


def is_scorable(scoring: str, roles: Roles) -> bool:
    """Return whether training images of these roles (int8 ``[n]``) suffice for a score or a sum of scores."""
    needs = needs_of(scoring)
    enough = not needs.unlabelled or (roles != ABNORMAL).sum() >= _LEAST
    labelled = not needs.labels or ((roles == NORMAL).any() and (roles == ABNORMAL).any())
    return bool(enough and labelled)


def require_scorable(scoring: str, roles: Roles) -> None:
    """Check that the training images suffice for a score or a sum of scores.

    Raises
    ------
    UsageError
        They do not; the message counts them.
    """
    if is_scorable(scoring, roles):
        return
    normals, anomalies = (int((roles == role).sum()) for role in (NORMAL, ABNORMAL))
    if needs_of(scoring).labels:
        raise UsageError(
            f"--evaluate.scoring is {scoring!r}, whose regression needs labelled normals and labelled anomalies to "
            f"learn from, but of the training images {normals:,} are labelled normals and {anomalies:,} labelled "
            "anomalies. Label some of both, or use --evaluate.scoring knn."
        )
    raise UsageError(
        f"--evaluate.scoring is {scoring!r}, which needs {_LEAST} training images or more that are not labelled "
        f"anomalies, but there is {counted(len(roles) - anomalies, 'such image')}. Add images, or use "
        "--evaluate.scoring paper."
    )
