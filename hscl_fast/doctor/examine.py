"""Runs all checks of a machine and shows the results, section by section."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from hscl_kernels.selfcheck import OPERATIONS, Finding, check_device, missing_backends
from rich.console import Console

from hscl_fast.config.sections import Config
from hscl_fast.console import say
from hscl_fast.doctor.estimate import Estimate, OutOfMemory, Plan, measure, plan_estimate
from hscl_fast.doctor.machine import check_machine
from hscl_fast.doctor.outcome import Outcome, reason_of
from hscl_fast.doctor.show import show_devices, show_estimate, show_kernels, show_outcomes, show_versions
from hscl_fast.doctor.versions import check_settings, read_cards, read_cpu, read_versions
from hscl_fast.runs.backends import prepare_backends, require_threads
from hscl_fast.runs.show import show_remarks

_KERNEL_FIX = (
    "A kernel that failed gives wrong results on this machine, or none. Until it is fixed, train with "
    "--objective.backend reference and --augment.backend reference, and report the failure with the output of "
    "`hscl doctor --json`."
)


@dataclass(frozen=True)
class Diagnosis:
    """The results of checking one device.

    Attributes
    ----------
    device
        The device.
    versions, cpu, gpus
        Software by name, the CPU, and every GPU.
    kernels
        One entry for every form of every operation.
    not_here
        The forms that cannot run here, and why.
    machine
        The outcomes of the other checks.
    estimate
        The cost of training, if it was requested and could be measured.
    """

    device: str
    versions: dict[str, str | None]
    cpu: dict[str, Any]
    gpus: list[dict[str, Any]]
    kernels: list[Finding]
    not_here: dict[str, str]
    machine: list[Outcome]
    estimate: Estimate | None

    @property
    def failed(self) -> list[str]:
        """The names of the checks that failed."""
        kernels = [finding.name for finding in self.kernels if not finding.passed]
        return kernels + [outcome.name for outcome in self.machine if outcome.status == "FAIL"]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN and infinities become text."""
        plain = asdict(self)
        plain["kernels"] = [{**asdict(finding), "passed": finding.passed} for finding in self.kernels]
        result: dict[str, Any] = _plain({"passed": not self.failed, "failed": self.failed, **plain})
        return result


def examine(config: Config, device: torch.device, console: Console, *, estimate: bool, named: bool) -> Diagnosis:
    """Check a device and the rest of the machine, and show the results as they come in.

    Parameters
    ----------
    config
        The configuration whose training is measured.
    device
        The device to check and to train on.
    console
        Console for the results.
    estimate
        Whether to estimate the cost of training.
    named
        Whether the user named the data, which then must exist.

    Raises
    ------
    UsageError
        The configuration cannot run here.
    """
    require_threads(config.runtime)
    prepare_backends(config.runtime)
    # Before the checks, which take a minute, so that a wrong configuration shows at once.
    plan = None
    if estimate:
        plan = plan_estimate(config, device, named=named, remark=lambda remark: show_remarks([remark], console))
    versions, cpu, gpus = read_versions(), read_cpu(), read_cards()
    show_versions(console, versions)
    show_devices(console, cpu, gpus)
    with console.status("checking the kernels") as status:
        kernels = list(check_device(device, lambda name: status.update(f"checking {name}")))
    not_here = missing_backends(device)
    show_kernels(console, str(device), kernels, not_here)
    outcomes = check_settings(device)
    with console.status("checking the rest of the machine"):
        outcomes += check_machine(device)
        measured, failure = (None, None) if plan is None else _measure(plan, config, device)
    outcomes += [] if failure is None else [failure]
    show_outcomes(console, "machine", outcomes)
    if measured is not None:
        show_estimate(console, measured)
    found = Diagnosis(str(device), versions, cpu, gpus, kernels, not_here, outcomes, measured)
    _conclude(found, console)
    return found


def _measure(plan: Plan, config: Config, device: torch.device) -> tuple[Estimate | None, Outcome | None]:
    """Measure training steps; an error is a failed check."""
    try:
        return measure(plan, config, device), None
    except OutOfMemory as error:
        half = max(2, plan.batch_size // 2)
        fix = f"Lower --optim.batch_size (to {half}, say), --model.width or --data.image_size."
        return None, Outcome("estimate", "FAIL", str(error), fix)
    except Exception as error:  # from the device or a library
        return None, Outcome("estimate", "FAIL", reason_of(error), "The checks above may show why.")


def _conclude(found: Diagnosis, console: Console) -> None:
    """Print the last paragraph: everything works, or what failed and how to fix it."""
    if not found.failed:
        forms = f"{len(found.kernels)} forms of {len(OPERATIONS)} operations"
        say(console, f"everything works on {found.device}: {forms} are within their error budgets, and it can train.")
        return
    fixes = [outcome.fix for outcome in found.machine if outcome.status == "FAIL"]
    if any(not finding.passed for finding in found.kernels):
        fixes.insert(0, _KERNEL_FIX)
    text = f"FAILED on {found.device}: {'; '.join(found.failed)}. {' '.join(fixes)}"
    console.print(text, style="bold red", markup=False, highlight=False, soft_wrap=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
