"""The command ``python -m hscl_kernels.selfcheck``: prints a line per form; exit code 1 if one of them is wrong."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

import torch

from hscl_kernels.selfcheck.check import Finding, check_device, missing_backends


def main(arguments: list[str] | None = None) -> int:
    """Check one device and print the findings."""
    parser = argparse.ArgumentParser(prog="python -m hscl_kernels.selfcheck", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    options = parser.parse_args(arguments)
    try:
        device = torch.device(options.device)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        parser.error(f"--device is {options.device!r}, which torch cannot use here ({error}): give cpu, cuda or cuda:N")
    findings = []
    for finding in check_device(device):
        findings.append(finding)
        if not options.json:
            print(_line(finding), flush=True)
    missing = missing_backends(device)
    if options.json:
        print(json.dumps({"device": str(device), "not_here": missing, "forms": [asdict(f) for f in findings]}))
    else:
        for backend, reason in missing.items():
            print(f"not available: {backend} ({reason})")
    return int(not all(finding.passed for finding in findings))


def _line(finding: Finding) -> str:
    errors = [
        f"{name} {'-' if value is None else f'{value.error:.1e} of {value.allowed:.1e}':18}"
        for name, value in (("error", finding.worst(gradients=False)), ("gradient", finding.worst(gradients=True)))
    ]
    times = "-"
    if finding.milliseconds is not None:
        times = f"{finding.milliseconds:.2f} (eager {finding.reference_milliseconds:.2f})"
    verdict = "pass" if finding.passed else "FAIL: " + "; ".join(finding.problems)
    name = f"{finding.operation:24} {finding.backend:10} {finding.dtype:9}"
    return f"{name} {'  '.join(errors)} ms {times:24} {verdict}"


if __name__ == "__main__":
    sys.exit(main())
