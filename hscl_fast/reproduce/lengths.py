"""How many training images and steps a run has, without opening its data again for each run."""

from __future__ import annotations

from hscl_fast.config.sections import Config, DataConfig
from hscl_fast.data.named.registry import load_source
from hscl_fast.data.split.protocols import assign_roles, hold_out
from hscl_fast.data.types import Source
from hscl_fast.method.augment import VIEWS
from hscl_fast.runs.image_size import resolve_image_size
from hscl_fast.training.schedule import schedule_length


class Lengths:
    """Counts images and steps; every data set is read once, and forgotten with this object."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, str | None, str], Source] = {}
        self._counts: dict[DataConfig, int] = {}

    def image_size(self, config: Config) -> int:
        """Return the side of the images of a run in pixels."""
        size = resolve_image_size(config.data, config.model)
        return int(self._source(config.data).train.images.shape[1]) if size is None else size

    def images(self, config: Config) -> int:
        """Return the number of training images of a run, without those that are held out."""
        data = config.data
        if data not in self._counts:
            assignment = hold_out(assign_roles(self._source(data), data), data.held_out_ratio, data.seed)
            self._counts[data] = int((~assignment.held_out).sum())
        return self._counts[data]

    def batch(self, config: Config) -> int:
        """Return the number of images per step."""
        return min(config.optim.batch_size, self.images(config))

    def steps(self, config: Config) -> int:
        """Return the number of steps of a run."""
        return schedule_length(config.optim, self.images(config) // self.batch(config))

    def views(self, config: Config) -> int:
        """Return the number of views that go through the encoder in training."""
        return self.steps(config) * self.batch(config) * VIEWS * config.augment.rotations

    def _source(self, data: DataConfig) -> Source:
        key = data.name, data.root, data.superclasses
        if key not in self._sources:
            self._sources[key] = load_source(data)
        return self._sources[key]
