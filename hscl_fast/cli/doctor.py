"""``hscl doctor``: checks this machine and estimates what a configuration costs on it."""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.cli.exit_codes import FAILED
from hscl_fast.config.parsing import from_namespace
from hscl_fast.config.sections import Config
from hscl_fast.console import silent
from hscl_fast.device import resolve_device
from hscl_fast.doctor.examine import examine
from hscl_fast.errors import UsageError


def run(options: Namespace, console: Console) -> int:
    """Check the machine; return 0 if everything works and 1 if something failed."""
    config, device = _read(options)
    shown = silent() if options.json else console
    found = examine(config, device, shown, estimate=options.estimate, named=options.named)
    if options.json:
        console.file.write(json.dumps(found.to_json(), indent=1, allow_nan=False) + "\n")
    return FAILED if found.failed else 0


def _read(options: Namespace) -> tuple[Config, torch.device]:
    """Return the configuration and the device that the options select."""
    config = from_namespace(options)
    if options.device is None:
        return config, resolve_device(config.runtime.device)
    try:
        config = replace(config, runtime=replace(config.runtime, device=options.device))
        return config, resolve_device(config.runtime.device)
    except UsageError as error:
        raise UsageError(str(error).replace("--runtime.device", "--device")) from error
