"""How many operators a training step launches on a GPU beside the network's own: counted on fake tensors."""

import json
import os
import subprocess
import sys

from conftest import ROOT

from benchmarks import roofline
from hscl_fast.config.parsing import from_dict

RECORDED = """
import json
from benchmarks import roofline

print(json.dumps([one.kernel for _, one in roofline.launched("sm_90")]))
"""


def test_the_roofline_counts_the_kernels_that_are_launched():
    """Recorded in a process in which kernels are compiled; in this one they are interpreted."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(ROOT / "kernels")
    command = [sys.executable, "-c", RECORDED]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr
    assert sorted(json.loads(found.stdout)) == sorted(name for names in roofline.KERNELS.values() for name in names)


def test_a_step_launches_little_beside_the_network():
    config = from_dict(
        {
            "model": {"width": 16},
            "objective": {"shift_loss": True},
            "optim": {"batch_size": 8, "clip_norm": 1.0},
        },
        "test",
    )
    assert 0 < roofline.housekeeping(config) < 60
