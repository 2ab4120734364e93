"""The recipes: named sets of defaults that flags and ``--config`` then override."""

from __future__ import annotations

from typing import Any

RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    # Section 4.2 of the paper: the class defaults, with every labelled image in training.
    "paper": {
        "data": {"held_out_ratio": 0.0},
    },
    # The released command: Adam at 1e-3 times a warm-up multiplier of 10, rotation loss, 10-crop scoring.
    "released": {
        "data": {"protocol": "released", "held_out_ratio": 0.0},
        "objective": {"name": "released", "rotated_roles": "inherit", "shift_loss": True},
        "optim": {"learning_rate": 1e-2, "weight_decay": 1e-6},
        "runtime": {"scoring": "released"},
    },
    # Two CPU cores and a few minutes.
    "cpu": {
        "model": {"width": 16},
        "optim": {"epochs": 200, "max_steps": 400, "batch_size": 64},
        "runtime": {"log_every": 5, "checkpoint_every": 50},
    },
}
