"""What a planned run is, and the name of its folder, by which it is found again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import Config


class PlannedRun(Protocol):
    """One of many runs."""

    @property
    def config(self) -> Config:
        """The whole configuration."""

    @property
    def data(self) -> str:
        """A name for the data, which stands for the place where it lies."""

    @property
    def folder(self) -> str:
        """The name of the run's directory."""

    @property
    def title(self) -> str:
        """The run in words."""

    @property
    def like(self) -> Hashable:
        """Equal for runs that are expected to take equally long."""


def configuration_key(config: Config, data: str) -> str:
    """Return 12 hexadecimal digits of a configuration, which do not depend on where its files lie.

    Only what differs from the defaults counts, so that a new option does not make old runs unknown.
    """
    plain, defaults = to_dict(_without_places(config, data)), to_dict(Config())
    differing = {
        section: {name: value for name, value in fields.items() if value != defaults[section][name]}
        for section, fields in plain.items()
    }
    if not differing["method"]:  # this section is younger than runs that are known by their key
        del differing["method"]
    return hashlib.sha256(json.dumps(differing, sort_keys=True).encode()).hexdigest()[:12]


def same_configuration(saved: Config, planned: Config, data: str) -> bool:
    """Whether a run was made with a planned configuration, apart from its places and from what the data says.

    Equal keys do not suffice, because a default may have changed since.
    """
    kept = saved.data
    found = replace(planned.data, bit_depth=kept.bit_depth, float_white=kept.float_white, image_size=kept.image_size)
    if planned.data.image_size is not None:
        found = replace(found, image_size=planned.data.image_size)
    return _without_places(saved, data) == _without_places(replace(planned, data=found), data)


def _without_places(config: Config, data: str) -> Config:
    weights = config.model.weights
    return replace(
        config,
        data=replace(config.data, name=data, root=None),
        model=replace(config.model, weights=None if weights is None else Path(weights).name),
    )
