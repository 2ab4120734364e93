"""The command ``hscl doctor``, section by section."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import torch
from hscl_kernels.selfcheck import OPERATIONS, Finding, check_device, missing_backends
from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.config.parsing import from_namespace
from hscl_fast.config.sections import Config
from hscl_fast.console import say
from hscl_fast.device import resolve_device
from hscl_fast.doctor.estimate import Estimate, OutOfMemory, Plan, measure, plan_estimate
from hscl_fast.doctor.machine import check_machine
from hscl_fast.doctor.outcome import Outcome, reason_of
from hscl_fast.doctor.show import show_devices, show_estimate, show_kernels, show_outcomes, show_versions
from hscl_fast.doctor.versions import check_settings, read_cards, read_cpu, read_versions
from hscl_fast.errors import UsageError
from hscl_fast.runs.backends import prepare_backends

_FAILED = 1
_KERNEL_MEND = (
    "A kernel that fails computes wrongly or not at all here: train with --objective.backend reference and "
    "--augment.backend reference until it is mended, and report it with the output of `hscl doctor --json`."
)


def doctor_command(options: Namespace, console: Console) -> int:
    """``hscl doctor``: what works here; 0 if all does, 1 if something failed."""
    config, device = _read(options)
    prepare_backends(config.runtime)
    # Before the minute that the checks take: what is wrong with the configuration shows at once.
    plan = plan_estimate(config, device, named=options.DATA is not None) if options.estimate else None
    quiet = Console(quiet=True) if options.json else console
    versions, cpu, cards = read_versions(), read_cpu(), read_cards()
    show_versions(quiet, versions)
    show_devices(quiet, cpu, cards)
    with quiet.status("checking the kernels") as status:
        findings = list(check_device(device, lambda name: status.update(f"checking {name}")))
    missing = missing_backends(device)
    show_kernels(quiet, str(device), findings, missing)
    outcomes = check_settings(device)
    with quiet.status("checking the rest of the machine"):
        outcomes += check_machine(device)
        measured, failure = (None, None) if plan is None else _measure(plan, config, device)
    outcomes += [] if failure is None else [failure]
    show_outcomes(quiet, "machine", outcomes)
    if measured is not None:
        show_estimate(quiet, measured)
    failed = [finding.name for finding in findings if not finding.passed]
    failed += [outcome.name for outcome in outcomes if outcome.status == "FAIL"]
    _conclude(quiet, findings, outcomes, failed, device)
    if options.json:
        everything = {
            "passed": not failed,
            "failed": failed,
            "versions": versions,
            "cpu": cpu,
            "gpus": cards,
            "device": str(device),
            "kernels": [{**asdict(finding), "passed": finding.passed} for finding in findings],
            "not_here": missing,
            "machine": [asdict(outcome) for outcome in outcomes],
            "estimate": None if measured is None else asdict(measured),
        }
        console.file.write(json.dumps(_plain(everything), indent=1, allow_nan=False) + "\n")
    return _FAILED if failed else 0


def _read(options: Namespace) -> tuple[Config, torch.device]:
    """Return the configuration and the device that are meant."""
    config = from_namespace(options)
    if options.DATA is not None:
        config = replace(config, data=replace(config.data, name=options.DATA))
    if options.device is None:
        return config, resolve_device(config.runtime.device)
    try:
        config = replace(config, runtime=replace(config.runtime, device=options.device))
        return config, resolve_device(config.runtime.device)
    except UsageError as error:
        raise UsageError(str(error).replace("--runtime.device", "--device")) from error


def _measure(plan: Plan, config: Config, device: torch.device) -> tuple[Estimate | None, Outcome | None]:
    """Measure training steps; what they raise is a failed check."""
    try:
        return measure(plan, config, device), None
    except OutOfMemory as error:
        half = max(2, plan.batch_size // 2)
        mend = f"Lower --optim.batch_size (to {half}, say), --model.width or --data.image_size."
        return None, Outcome("estimate", "FAIL", str(error), mend)
    except Exception as error:  # the device's
        return None, Outcome("estimate", "FAIL", reason_of(error), "The checks above may tell why.")


def _conclude(
    console: Console, findings: list[Finding], outcomes: list[Outcome], failed: list[str], device: torch.device
) -> None:
    """Print the last paragraph: all is fine, or what is not and what to do."""
    if not failed:
        forms = f"{len(findings)} forms of {len(OPERATIONS)} operations"
        say(console, f"all fine on {device}: {forms} are as exact as they have to be, and the machine can train.")
        return
    mends = [outcome.mend for outcome in outcomes if outcome.status == "FAIL"]
    if any(not finding.passed for finding in findings):
        mends.insert(0, _KERNEL_MEND)
    text = f"FAILED on {device}: {'; '.join(failed)}. {' '.join(mends)}"
    console.print(text, style="bold red", markup=False, highlight=False, soft_wrap=True)


def _plain(value: Any) -> Any:
    """Numbers that JSON lacks (NaN, infinity) as text."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
