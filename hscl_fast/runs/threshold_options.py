"""The threshold options of ``hscl eval`` and ``hscl threshold``, which have precedence over those of the training."""

from __future__ import annotations

from dataclasses import replace

from hscl_fast.config.sections import EvaluateConfig
from hscl_fast.errors import UsageError


def new_rule(
    trained: EvaluateConfig,
    threshold: float | None,
    max_false_alarms: float | None,
    contamination: float | None,
    *,
    best: bool = False,
) -> EvaluateConfig | None:
    """Return a configuration with another rule for the threshold, or None if no option was given.

    Raises
    ------
    UsageError
        The options exclude each other, or one has a wrong value.
    """
    given = {"--threshold": threshold is not None, "--max_false_alarms": max_false_alarms is not None, "--best": best}
    named = [name for name, is_given in given.items() if is_given]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} are given, but only one of them can set the threshold. Leave one out.")
    if contamination is not None and max_false_alarms is None:
        raise UsageError(
            f"--contamination is {contamination}, but it does nothing without --max_false_alarms. Give both, or leave "
            "--contamination out."
        )
    if not named:
        return None
    suspected = trained.contamination if contamination is None else contamination
    try:
        return replace(trained, threshold=threshold, max_false_alarms=max_false_alarms, contamination=suspected)
    except UsageError as error:
        raise UsageError(str(error).replace("--evaluate.", "--")) from None
