"""All hostile cases."""

from hostile import (
    betons,
    checkpoints,
    csv_lists,
    images,
    label_files,
    named_data,
    npz_files,
    records,
    run_files,
    sidecars,
    yaml_files,
)

_KINDS = (
    images,
    csv_lists,
    npz_files,
    yaml_files,
    records,
    sidecars,
    betons,
    checkpoints,
    named_data,
    run_files,
    label_files,
)
CASES = tuple(case for kind in _KINDS for case in kind.CASES)
