"""The process of one run: ``python -m hscl_fast.reproduce.one``."""

from __future__ import annotations

import sys

from hscl_fast.many_runs.one import main
from hscl_fast.reproduce.record import measured

if __name__ == "__main__":
    sys.exit(main(measured))
