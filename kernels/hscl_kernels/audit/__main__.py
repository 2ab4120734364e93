"""``python -m hscl_kernels.audit``: print the report; exit with 1 if it has faults."""

from __future__ import annotations

import argparse
import json
import os
import sys

from hscl_kernels.gpus import GPUS


def main(arguments: list[str] | None = None) -> int:
    """Print the report; return 1 if it has faults."""
    parser = argparse.ArgumentParser(
        prog="python -m hscl_kernels.audit",
        description="Compile what is launched, for every target, without a GPU, and report on the machine code.",
    )
    parser.add_argument("--target", action="append", choices=list(GPUS), help="default: all; may be given again")
    parser.add_argument("--rows", type=int, default=65536, help="N of the predicted times (default 65536)")
    parser.add_argument("--quick", action="store_true", help="share most cases out among the targets")
    parser.add_argument("--jobs", type=int, help="processes that compile (default: one for each core)")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    parser.add_argument("--markdown", action="store_true", help="print the sweeps of hscl_loss at D = 128 as Markdown")
    options = parser.parse_args(arguments)
    if os.environ.get("TRITON_INTERPRET") == "1":
        parser.error("TRITON_INTERPRET=1 is set, so there is nothing to compile: unset it")
    from hscl_kernels.audit import report as reports  # only here: it imports Triton

    choose = reports.quick_launches if options.quick else reports.every_launch
    if options.markdown:
        choose = reports.table_launches
    report = reports.run(options.target or list(GPUS), options.rows, choose=choose, workers=options.jobs)
    wrong = reports.faults(report)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(reports.markdown(report, options.rows) if options.markdown else reports.table(report))
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
