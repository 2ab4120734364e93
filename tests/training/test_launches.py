"""How many operators a training step launches on a GPU beside the network's own: counted on fake tensors."""

from benchmarks import roofline
from hscl_fast.config.parsing import from_dict


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
