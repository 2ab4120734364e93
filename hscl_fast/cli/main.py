"""The entry point ``hscl train | eval | predict | ...``, with its errors and exit codes."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from hscl_fast.cli.exit_codes import BAD_INPUT, INTERRUPTED
from hscl_fast.cli.parser import parse
from hscl_fast.console import PatientConsole
from hscl_fast.errors import FailedElsewhere, UsageError
from hscl_fast.inductor_cache import set_inductor_cache_dir

_LONGEST_WORD = 1000  # letters; a path may have 4,096, a hostile value a million

# Each module has ``run(options, console)``; it is imported when its command is given, since torch takes seconds.
COMMANDS = {
    "train": "hscl_fast.cli.train",
    "eval": "hscl_fast.cli.evaluate",
    "predict": "hscl_fast.cli.predict",
    "watch": "hscl_fast.cli.watch",
    "suspects": "hscl_fast.cli.suspects",
    "threshold": "hscl_fast.cli.threshold",
    "review": "hscl_fast.cli.review",
    "compare": "hscl_fast.cli.compare",
    "export": "hscl_fast.cli.export",
    "reproduce": "hscl_fast.cli.reproduce",
    "doctor": "hscl_fast.cli.doctor",
    "data list": "hscl_fast.cli.data_list",
    "data verify": "hscl_fast.cli.data_verify",
    "data prepare": "hscl_fast.cli.data_prepare",
    "data views": "hscl_fast.cli.data_views",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``hscl`` and exit with 0 (done) or a code of :mod:`hscl_fast.cli.exit_codes`."""
    gc.disable()  # until all is imported: modules are no garbage, and looking for some takes a tenth of that time
    status = run(sys.argv[1:] if arguments is None else list(arguments))
    if "RANK" in os.environ:
        _end_rank(status)
    sys.exit(status)


def _end_rank(status: int) -> NoReturn:
    """End a rank before the interpreter shuts down.

    Threads of its process groups may still run, after an error as well as after the groups were destroyed: if one of
    them frees a tensor during the shutdown, the process aborts with SIGABRT instead of this status.
    """
    if status == 0:
        atexit._run_exitfuncs()  # after an error nothing waits for the other ranks
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code. An error that a user can fix is printed as one paragraph."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold bytes that are not text
    warnings.filterwarnings("ignore", module=r"PIL\.")  # whether a file is usable is said by hscl itself
    console = PatientConsole()
    errors = PatientConsole(stderr=True)
    try:
        set_inductor_cache_dir()
        command, options = parse(arguments)
        if command != "train" and "RANK" in os.environ:
            from hscl_fast.ranks.group import require_one_process

            require_one_process(command)
        module = importlib.import_module(COMMANDS[command])
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        status: int = module.run(options, console)
        return status
    except UsageError as error:
        message = _in_one_paragraph(_with_flags_of(arguments, str(error)))
        errors.print(f"hscl: error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
        return BAD_INPUT
    except FailedElsewhere:
        return BAD_INPUT
    except KeyboardInterrupt:
        errors.print("hscl: interrupted")
        return INTERRUPTED


def _in_one_paragraph(message: str) -> str:
    """Return a message whose long words are cut, and in which control characters cannot reach the terminal."""
    short = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: f"{word[0][:100]}...{word[0][-100:]}", message)
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda letter: repr(letter[0])[1:-1], short)


def _with_flags_of(arguments: list[str], message: str) -> str:
    """Return the message with the command's own flags: ``hscl data ...`` has ``--root`` for ``--data.root``."""
    if arguments[:1] != ["data"]:
        return message
    return message.replace("--data.name", "DATA").replace("--data.", "--")
