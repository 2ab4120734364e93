"""The terms of the objectives: their names in ``metrics.jsonl``, in the report and on the progress bar."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """One term: ``name`` as a key of files, ``title`` in the report, ``short`` on the progress bar."""

    name: str
    title: str
    short: str


TOTAL = Term("total", "Total loss", "loss")
SAMPLE_TO_SAMPLE = Term("sample_to_sample", "Sample to sample", "S-S")
SAMPLE_TO_PROTOTYPE = Term("sample_to_prototype", "Sample to prototype", "S-P")
NORMAL_TO_ABNORMAL = Term("normal_to_abnormal", "Normal to abnormal", "N-A")
NT_XENT = Term("nt_xent", "NT-Xent", "NT-Xent")
CONVEX = Term("convex", "Convex combination", "convex")
ROTATION = Term("rotation", "Rotation classification", "rot")

TERMS = (TOTAL, SAMPLE_TO_SAMPLE, SAMPLE_TO_PROTOTYPE, NORMAL_TO_ABNORMAL, NT_XENT, CONVEX, ROTATION)
