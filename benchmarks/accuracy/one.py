"""The process of one run: ``python -m benchmarks.accuracy.one``."""

from __future__ import annotations

import sys

from benchmarks.accuracy.record import measured
from hscl_fast.many_runs.one import main

if __name__ == "__main__":
    sys.exit(main(measured))
