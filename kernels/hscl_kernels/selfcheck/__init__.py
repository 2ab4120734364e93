"""Check the kernels on this machine: every form of every operation against its float64 oracle, and its time.

python -m hscl_kernels.selfcheck [--device cuda:0]
"""

from hscl_kernels.selfcheck.budget import Value
from hscl_kernels.selfcheck.card import Card, describe_card, tuned_error
from hscl_kernels.selfcheck.check import Finding, check_device, check_form, missing_backends
from hscl_kernels.selfcheck.problems import OPERATIONS

__all__ = [
    "OPERATIONS",
    "Card",
    "Finding",
    "Value",
    "check_device",
    "check_form",
    "describe_card",
    "missing_backends",
    "tuned_error",
]
