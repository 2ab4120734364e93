"""Compile what is launched, for every target, without a GPU, and report on the machine code.

    python -m hscl_kernels.audit [--target sm_90] [--rows 65536] [--quick] [--json]

The launches are recorded from the operations themselves. Nothing that the audit reports was measured on a GPU.
"""
