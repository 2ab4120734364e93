"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import torch

from hscl_fast.config.sections import Config
from hscl_fast.counted import counted
from hscl_fast.data.loaders.choose import LoaderKind, make_loader
from hscl_fast.data.loaders.loader import Loader
from hscl_fast.data.loaders.order import Share
from hscl_fast.data.types import TrainingImages
from hscl_fast.device import Execution
from hscl_fast.errors import FailedElsewhere, UsageError
from hscl_fast.inductor_cache import set_inductor_cache_dir
from hscl_fast.interrupt import Interrupted, StopRequest
from hscl_fast.method.augment import VIEWS
from hscl_fast.method.encoder_check import require_whole_image
from hscl_fast.method.network import Network, build_network
from hscl_fast.ranks.group import SINGLE, Ranks
from hscl_fast.ranks.stop_agreement import StopAgreement
from hscl_fast.training.feature_loader import FeatureLoader
from hscl_fast.training.randomness import own_randomness, seed_torch
from hscl_fast.training.recorder import Recorder
from hscl_fast.training.schedule import schedule_length
from hscl_fast.training.state import TrainingState
from hscl_fast.training.step import TrainingStep


class Trainer:
    """Trains one network from its first step, or from a checkpoint, to its last step.

    Parameters
    ----------
    config
        The run's configuration.
    training
        The training images and their roles, without the true classes.
    recorder
        Receives the figures and checkpoints.
    execution
        Device, precision and compile mode.
    loader
        The kind of the loader that serves the training images.
    validate
        Function from the network, in evaluation mode, to its AUROC on held-out labelled images, by which the best
        checkpoint is chosen; None if there are no such images.
    ranks
        The processes that train together. Each loads its own share; the first one validates and saves.
    load
        Whether to load the encoder's weights that ``config.model`` names; not if a checkpoint follows.

    Raises
    ------
    UsageError
        The configuration cannot run here, or the data cannot be trained on.
    """

    def __init__(
        self,
        config: Config,
        training: TrainingImages,
        recorder: Recorder,
        execution: Execution,
        *,
        loader: LoaderKind = "resident",
        validate: Callable[[Network], float | None] | None = None,
        ranks: Ranks = SINGLE,
        load: bool = True,
    ) -> None:
        self.config, self.recorder, self.execution = config, recorder, execution
        self.validate, self.ranks = validate, ranks
        with ranks.together():
            self.loader = _loader(config, training, loader, execution.device, ranks)
            model = build_network(
                config.model,
                training.images.shape[1],
                rotation_head=config.objective.shift_loss,
                seed=config.runtime.seed,
                load=load,
            )
            if not config.model.encoder.startswith("resnet"):  # which use every pixel of any size
                require_whole_image(model.encoder, config.model.encoder, model.image_size)
        self.images = len(training.roles)
        self.total_steps = schedule_length(config.optim, self.loader.steps_per_epoch)
        self.model: Network = model.to(execution.device).to(memory_format=torch.channels_last)
        self.step = TrainingStep(config, self.model, execution, total_steps=self.total_steps, ranks=ranks)
        self.state = TrainingState()

    def continue_from(self, weights: dict[str, torch.Tensor], step: dict[str, Any], state: TrainingState) -> None:
        """Continue from a saved state, bit for bit; torch raises an error if it does not fit the network."""
        self.model.load_state_dict(weights)
        self.step.load_state_dict(step)
        self.state = state

    def use_features(self, features: torch.Tensor) -> None:
        """Train on the features of cached views, float32 ``[n, V, F]``: ``augment.cached_views`` is set."""
        assert isinstance(self.loader, FeatureLoader)
        self.loader.features = features.to(self.execution.device)

    def describe(self) -> str:
        """Return one line that describes the network, its device and the steps to train."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        compile = self.execution.compile
        compiled = "" if compile == "off" else f", compiled ({compile}; kept in {set_inductor_cache_dir()})"
        begin = f"from step {self.state.step} " if self.state.step else ""
        shared = f" on each of {self.ranks.size} ranks" if self.ranks.size > 1 else ""
        return (
            f"{self.config.model.encoder} with {parameters / 1e6:.1f} M parameters on {self.model.prototypes.device}"
            f"{shared} in {self.execution.precision_name}{compiled}, {begin}to step {self.total_steps} "
            f"({self.loader.steps_per_epoch} per pass over {counted(self.images, 'image')})"
        )

    def train(self) -> TrainingState:
        """Train to the last step and save; after a stop signal, save and raise :class:`Interrupted`."""
        record, state, recorder = self.config.record, self.state, self.recorder
        batches = self.loader.batches(state.step, self.total_steps)
        agreement = StopAgreement(self.ranks)
        self._clock, self._logged = time.monotonic(), (state.step, state.seconds)
        first, started = state.step + 1, time.monotonic()
        self.model.train()
        begun = recorder.begin(done=state.step, total=self.total_steps, steps_per_epoch=self.loader.steps_per_epoch)
        with StopRequest() as stop, begun, closing(batches), own_randomness(self.execution.device):
            for batch in batches:
                seed_torch(self.config.runtime.seed, state.step, self.ranks.rank)
                self.step(batch)
                state.step += 1
                stopped = agreement.exchange(stop.received)
                recorder.advance(state.step)
                if state.step == first and self.execution.compile != "off":
                    seconds = time.monotonic() - started
                    recorder.note(f"first step, compiled ({self.execution.compile}): {seconds:.1f} s")
                last = state.step == self.total_steps
                if state.step % record.log_every == 0 or last:
                    self._log()
                if state.step % (record.validate_every * self.loader.steps_per_epoch) == 0 or last:
                    self._validate()
                if state.step % record.checkpoint_every == 0 or last or stopped:
                    self._save("last")
                if stopped:
                    raise self._interrupted(stopped)
            if stopped := agreement.outcome():
                raise self._interrupted(stopped)
        return state

    def _interrupted(self, stopped: int) -> Interrupted:
        return Interrupted(stopped, f"at step {self.state.step} of {self.total_steps}")

    def _log(self) -> None:
        """Read the metrics, log a row and stop a run that skips all its updates; all ranks must call this."""
        metrics = self.step.read_metrics()  # waits for the device, so the time below is that of finished steps
        state = self.state
        self._tick()
        steps_before, seconds_before = self._logged
        self._logged = (state.step, state.seconds)
        seconds = max(state.seconds - seconds_before, 1e-9)
        steps = state.step - steps_before
        views = steps * self.loader.batch_size * VIEWS * self.config.augment.rotations
        row = {
            "step": state.step,
            "epoch": state.step / self.loader.steps_per_epoch,
            "seconds": round(state.seconds, 3),
            "seconds_left": round((self.total_steps - state.step) * seconds / steps, 3),
            "views_per_second": round(views / seconds, 1),
            **metrics,
        }
        self.recorder.log(row)
        limit = self.config.runtime.max_skipped_updates
        if metrics["skipped_in_a_row"] >= limit:
            if not self.ranks.is_first:
                raise FailedElsewhere
            raise UsageError(
                f"Training stopped at step {state.step}: the last {metrics['skipped_in_a_row']:.0f} updates had a "
                f"non-finite loss or gradient and were skipped (the limit is --runtime.max_skipped_updates {limit}). "
                "The last good checkpoint is intact. Lower --optim.learning_rate, set --optim.clip_norm 1, or use "
                "--runtime.precision float32."
            )

    def _validate(self) -> None:
        """Keep the checkpoint with the highest AUROC so far (the latest of equals) as ``best``.

        Only the first rank validates; the others wait for it in their next step.
        """
        if self.validate is None or not self.ranks.is_first:
            return
        self.model.eval()
        value = self.validate(self.model)
        self.model.train()
        if value is not None:
            self.recorder.validated(self.state.step, value)
        if value is not None and (self.state.best_auroc is None or value >= self.state.best_auroc):
            self.state.best_auroc, self.state.best_step = value, self.state.step
            self._save("best")

    def _save(self, name: str) -> None:
        self._tick()
        state = self.step.state_dict() if name == "last" else None  # all ranks take part in it
        self.recorder.save(name, weights=self.model.state_dict(), state=state, info=vars(self.state).copy())

    def _tick(self) -> None:
        """Add the time since the last call to the run's training seconds."""
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now


def _loader(config: Config, training: TrainingImages, kind: LoaderKind, device: torch.device, ranks: Ranks) -> Loader:
    if len(training.images) < 2:
        raise UsageError(
            f"The training set has {counted(len(training.images), 'image')}, but contrastive training needs at least "
            "2. Add images, or lower --data.held_out_ratio."
        )
    share = Share(ranks.rank, ranks.size)
    if config.augment.cached_views is not None:
        return FeatureLoader(training, config.optim.batch_size, seed=config.runtime.seed, device=device, share=share)
    return make_loader(kind, training, config.runtime, config.optim.batch_size, device, share)
