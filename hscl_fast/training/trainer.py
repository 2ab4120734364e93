"""The training loop, readable top to bottom."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from hscl_fast.compile_cache import keep_cache
from hscl_fast.compiling import resolve_mode
from hscl_fast.config.sections import Config
from hscl_fast.data.loaders.choose import LoaderKind, make_loader
from hscl_fast.data.loaders.loader import Loader
from hscl_fast.data.loaders.order import Share
from hscl_fast.data.types import TrainingImages, take
from hscl_fast.device import resolve_device, resolve_precision
from hscl_fast.errors import FailedElsewhere, UsageError
from hscl_fast.evaluation.metrics import auroc
from hscl_fast.interrupt import Interrupted, StopRequest
from hscl_fast.method.augment import ROTATIONS, VIEWS
from hscl_fast.method.network import Detector, build_detector
from hscl_fast.method.scoring import Scorer
from hscl_fast.progress import TrainingProgress
from hscl_fast.ranks.group import SINGLE, Ranks
from hscl_fast.ranks.stop_agreement import StopAgreement
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint, save_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.tensorboard import open_writer
from hscl_fast.training.step import TrainingStep


@dataclass
class TrainingState:
    """What a run knows about itself beside its weights: saved with every checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best_auroc: float | None = None
    best_step: int | None = None


class Trainer:
    """Trains one run from its first step, or from its last checkpoint, to its last step.

    Parameters
    ----------
    config
        The run's configuration.
    run
        Where it is recorded; must exist.
    training
        What training may see: images and roles, never labels.
    held_out
        Labelled images kept out of training, to choose the best checkpoint; may be empty.
    console
        Where progress is shown.
    loader
        Which loader serves the training images.
    ranks
        Who trains together. Each loads its own share; the first one validates, logs and saves.

    Raises
    ------
    UsageError
        The configuration cannot run here, or these data cannot be trained on.
    """

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        training: TrainingImages,
        held_out: TrainingImages,
        console: Console,
        loader: LoaderKind = "resident",
        ranks: Ranks = SINGLE,
    ) -> None:
        self.config, self.run, self.console = config, run, console
        self.training, self.held_out, self.ranks = training, held_out, ranks
        device = resolve_device(config.runtime.device, ranks.local_rank)
        self.precision = resolve_precision(config.runtime.precision, device)
        self.compile = resolve_mode(config.runtime.compile, device)
        with ranks.together():
            self.loader = _loader(config, training, loader, device, ranks)
            model = build_detector(
                config.model,
                training.images.shape[1],
                rotation_head=config.objective.shift_loss,
                seed=config.runtime.seed,
            )
        self.total_steps = config.optim.epochs * self.loader.steps_per_epoch
        if config.optim.max_steps is not None:
            self.total_steps = min(self.total_steps, config.optim.max_steps)
        self.model: Detector = model.to(device).to(memory_format=torch.channels_last)
        self.step = TrainingStep(
            config,
            self.model,
            precision=self.precision,
            total_steps=self.total_steps,
            compile=self.compile,
            ranks=ranks,
        )
        self.state = TrainingState()

    def resume(self) -> None:
        """Continue from the last checkpoint, bit for bit; without one, start over."""
        directory = self.run.checkpoint("last")
        if not (directory / MANIFEST).exists():
            self._start_from(TrainingState())
            return
        checkpoint = load_checkpoint(directory, with_state=True)
        try:
            self.model.load_state_dict(checkpoint.weights)
            assert checkpoint.state is not None
            self.step.load_state_dict(checkpoint.state)
            state = TrainingState(**checkpoint.info)
        except (RuntimeError, KeyError, TypeError, ValueError, AssertionError) as error:
            raise UsageError(
                f"The checkpoint in {directory} does not fit this run's configuration: {error}. It belongs to another "
                "run; train again with --overwrite."
            ) from error
        self._start_from(state)

    def describe(self) -> str:
        """Return one line about what will run where."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        compiled = "" if self.compile == "off" else f", compiled ({self.compile}; kept in {keep_cache()})"
        begin = f"from step {self.state.step} " if self.state.step else ""
        shared = f" on each of {self.ranks.size} ranks" if self.ranks.size > 1 else ""
        return (
            f"{self.config.model.encoder} with {parameters / 1e6:.1f} M parameters on {self.model.prototypes.device}"
            f"{shared} in {str(self.precision).removeprefix('torch.')}{compiled}, {begin}to step {self.total_steps} "
            f"({self.loader.steps_per_epoch} a pass of {len(self.training.images):,} images)"
        )

    def train(self) -> TrainingState:
        """Train to the last step and save; raise :class:`Interrupted` if asked to stop, after saving."""
        runtime, state = self.config.runtime, self.state
        batches = self.loader.batches(state.step, self.total_steps)
        progress = TrainingProgress(
            self.console,
            done=state.step,
            total=self.total_steps,
            steps_per_epoch=self.loader.steps_per_epoch,
        )
        writer = open_writer(self.run.path) if runtime.tensorboard and self.ranks.is_first else None
        agreement = StopAgreement(self.ranks)
        self._clock, self._logged = time.monotonic(), (state.step, state.seconds)
        first, started = state.step + 1, time.monotonic()
        self.model.train()
        with StopRequest() as stop, progress, closing(batches):
            for batch in batches:
                self.step(batch)
                state.step += 1
                stopped = agreement.exchange(stop.received)
                progress.advance(state.step)
                if state.step == first and self.compile != "off":
                    progress.say(f"first step, compiled ({self.compile}): {time.monotonic() - started:.1f} s")
                last = state.step == self.total_steps
                if state.step % runtime.log_every == 0 or last:
                    row = self._log()
                    progress.log(row)
                    if writer is not None:
                        writer.write(row)
                if self._validates(state.step) or (last and self.held_out_is_usable):
                    self._validate()
                if state.step % runtime.checkpoint_every == 0 or last or stopped:
                    self._save("last")
                if stopped:
                    raise Interrupted(stopped)
            if stopped := agreement.outcome():
                raise Interrupted(stopped)
        return state

    def _start_from(self, state: TrainingState) -> None:
        self.state = state
        if self.ranks.is_first:
            self.run.truncate_metrics(state.step)

    @property
    def held_out_is_usable(self) -> bool:
        """Whether the held-out images can rank checkpoints: some normal, some abnormal."""
        roles = self.held_out.roles
        return bool((roles == 1).any() and (roles == -1).any())

    def _validates(self, step: int) -> bool:
        period = self.config.runtime.validate_every * self.loader.steps_per_epoch
        return self.held_out_is_usable and step % period == 0

    def _log(self) -> dict[str, Any]:
        """Read the metrics, append a row to ``metrics.jsonl`` and stop a run that no longer learns; all ranks do."""
        metrics = self.step.read_metrics()  # waits for the device: the time below is that of finished steps
        state = self.state
        self._tick()
        steps_before, seconds_before = self._logged
        self._logged = (state.step, state.seconds)
        seconds = max(state.seconds - seconds_before, 1e-9)
        steps = state.step - steps_before
        row = {
            "step": state.step,
            "epoch": state.step / self.loader.steps_per_epoch,
            "seconds": round(state.seconds, 3),
            "seconds_left": round((self.total_steps - state.step) * seconds / steps, 3),
            "views_per_second": round(steps * self.loader.batch_size * VIEWS * ROTATIONS / seconds, 1),
            **metrics,
        }
        if self.ranks.is_first:
            self.run.append_metrics(row)
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
        return row

    def _validate(self) -> None:
        """Score the held-out labelled images; the highest AUROC so far (the latest of equals) becomes ``best``.

        The first rank alone does; the others wait for it in their next step.
        """
        if not self.ranks.is_first:
            return
        self.model.eval()
        scorer = Scorer(
            self.model,
            # The 40 passes of released scoring are for the end; with prototypes Eq. 9 ranks as well.
            "paper" if self.config.objective.lambda_prototype > 0 else "knn",
            self.config.runtime.eval_batch_size,
            self.precision,
            self.config.augment,
            compile=self.compile,
        ).calibrate(take(self.training.images, self.training.roles >= 0))
        value = auroc(scorer.score(self.held_out.images), self.held_out.roles == -1)
        self.model.train()
        if value is not None and (self.state.best_auroc is None or value >= self.state.best_auroc):
            self.state.best_auroc, self.state.best_step = value, self.state.step
            self._save("best")

    def _save(self, name: str) -> None:
        self._tick()
        state = self.step.state_dict() if name == "last" else None  # all ranks have a part in it
        if not self.ranks.is_first:
            return
        save_checkpoint(
            self.run.checkpoint(name),
            weights=self.model.state_dict(),
            state=state,
            info=vars(self.state).copy(),
        )

    def _tick(self) -> None:
        """Add the time since the last look to the run's training seconds."""
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now


def _loader(config: Config, training: TrainingImages, kind: LoaderKind, device: torch.device, ranks: Ranks) -> Loader:
    if len(training.images) < 2:
        raise UsageError(
            f"The training set has {len(training.images)} image(s), but contrastive training needs at least 2. Add "
            "images, or lower --data.held_out_ratio."
        )
    share = Share(ranks.rank, ranks.size)
    return make_loader(kind, training, config.runtime, config.optim.batch_size, device, share)
