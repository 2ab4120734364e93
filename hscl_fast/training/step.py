"""One training step: views, encoder, objective, backward, guarded update. Nothing here waits for the device.

When compiled, the whole step is one graph. Everything that changes between steps, including the rate and the number of
the step, is a tensor that keeps its address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from hscl_kernels import augment_views
from torch import Tensor, nn

from hscl_fast.compiling import compile_whole, keep_addresses
from hscl_fast.config.sections import Config
from hscl_fast.data.loaders.loader import Batch
from hscl_fast.device import Execution, encoder_precision
from hscl_fast.method.augment import draw_views
from hscl_fast.method.network import Features, Network
from hscl_fast.method.objective import compute_loss, objective_terms
from hscl_fast.ranks.data_parallel import average_gradients, data_parallel
from hscl_fast.ranks.group import SINGLE, Ranks
from hscl_fast.training.guard import UpdateGuard
from hscl_fast.training.optimizer import FusedAdam
from hscl_fast.training.schedule import learning_rate


class TrainingStep:
    """Trains a network one batch at a time; its counters and metrics stay on the device.

    Parameters
    ----------
    config
        The run's configuration.
    model
        The network, on its device, channels_last.
    execution
        Device, precision and compile mode.
    total_steps
        Length of the schedule in steps.
    ranks
        The processes that train the network together; each passes its share of the batch.
    """

    def __init__(
        self,
        config: Config,
        model: Network,
        execution: Execution,
        *,
        total_steps: int,
        ranks: Ranks = SINGLE,
    ) -> None:
        device, compile = model.prototypes.device, execution.compile
        self.config = config
        self.model = model
        self.ranks = ranks
        self.cached = config.augment.cached_views is not None
        self.precision = execution.precision
        # Of every step: one look-up instead of a dozen launches. The last entry is 0, for steps beyond the schedule.
        self.rates = learning_rate(
            torch.arange(total_steps + 1),
            peak=config.optim.learning_rate,
            warmup_steps=round(config.optim.warmup_share * total_steps),
            total_steps=total_steps,
        ).to(device)
        self.seed = torch.tensor(config.runtime.seed, device=device)
        self.step = torch.zeros((), dtype=torch.int64, device=device)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.averaged_in_backward = ranks.group is not None and compile == "off"
        self.forward = data_parallel(model, ranks, _touch_all, in_backward=self.averaged_in_backward)
        self.optimizer = FusedAdam(
            self.parameters,
            weight_decay=config.optim.weight_decay,
            factors=_rate_factors(model, self.parameters, config.optim.encoder_rate),
        )
        self.guard = UpdateGuard(
            model.changing_buffers(),
            self.optimizer,
            scaled=self.precision == torch.float16,
            clip_norm=config.optim.clip_norm,
        )
        self.names = (*(term.name for term in objective_terms(config.objective)), "gradient_norm")
        # Sums since the last log row, over updates that were not skipped; the last entry counts them.
        self.sums = torch.zeros(len(self.names) + 1, dtype=torch.float64, device=device)
        self.one = torch.ones(1, device=device)
        if compile != "off":
            keep_addresses(self.tensors())
        self._run: Callable[[Tensor, Tensor, Tensor], None] = compile_whole(self._train, compile)

    def __call__(self, batch: Batch) -> None:
        """Train on one batch; every batch must have the same number of images."""
        self._run(*batch)

    def _train(self, *batch: Tensor) -> None:
        self.optimizer.rate.copy_(self.rates.take(self.step.clamp(max=len(self.rates) - 1)))
        self.guard.remember_statistics()
        losses = self.losses(Batch(*batch))
        norm = self.guard.update(losses[0], self._gradients(losses[0] * self.guard.scale))
        self._record(torch.cat((losses.detach(), norm[None], self.one)))
        self.step += 1

    def _gradients(self, loss: Tensor) -> Sequence[Tensor | None]:
        if not self.averaged_in_backward:
            own = torch.autograd.grad(loss, self.parameters, allow_unused=True)
            return own if self.ranks.group is None else average_gradients(own, self.ranks.group)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        return [parameter.grad for parameter in self.parameters]

    def losses(self, batch: Batch) -> Tensor:
        """Return the objective and its terms on one batch, float32 ``[terms]``."""
        features, turns = self._heads(batch) if self.cached else self._views(batch)
        return compute_loss(
            self.config.objective,
            features.embeddings,
            self.model.prototypes,
            features.rotation_logits,
            batch.roles,
            turns,
            seed=self.seed,
            step=self.step,
            group=self.ranks.group,
        )

    def _views(self, batch: Batch) -> tuple[Features, Tensor]:
        """Return the features of new views of the images, and the quarter turns of each view."""
        size = (batch.images.shape[1], batch.images.shape[2])
        parameters = draw_views(self.config.augment, batch.indices, seed=self.seed, step=self.step, size=size)
        # [V * R * B, 3, H, W], in the dtype to which autocast would convert them
        mean, std = self.model.statistics
        views = augment_views(
            batch.images, parameters, dtype=self.precision, mean=mean, std=std, backend=self.config.augment.backend
        )
        with encoder_precision(views.device, self.precision):
            return self.forward(views), parameters.rotation

    def _heads(self, batch: Batch) -> tuple[Features, Tensor]:
        """Return the features of cached views, which are upright: see :class:`FeatureLoader`."""
        with encoder_precision(batch.images.device, self.precision):
            features = self.model.heads(batch.images)
        return features, batch.indices.new_zeros(len(batch.images))

    def tensors(self) -> list[Tensor]:
        """Return all tensors that persist between calls; they are changed only in place."""
        own = [self.seed, self.step, self.rates, self.sums, self.one]
        return [*self.model.parameters(), *self.model.buffers(), *self.optimizer.tensors(), *self.guard.tensors(), *own]

    def read_metrics(self) -> dict[str, float]:
        """Return the means since the last call, the rate and the counters. Waits for the device and all ranks."""
        self.ranks.average(self.sums)
        *sums, count = self.sums.tolist()
        self.sums.zero_()
        # If every update was skipped, there are no means, and the losses are left out of the row.
        means = {name: total / count for name, total in zip(self.names, sums, strict=True)} if count else {}
        return {
            **means,
            "learning_rate": self.optimizer.rate.item(),
            "skipped_updates": int(self.guard.skipped.item()),
            "skipped_in_a_row": int(self.guard.skipped_in_a_row.item()),
            "loss_scale": self.guard.scale.item(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, except the weights. All ranks must call this; one may save it."""
        self.ranks.average(self.sums)
        return {
            "step": self.step,
            "sums": self.sums,
            "guard": self.guard.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.step.copy_(state["step"])
        self.sums.copy_(state["sums"])
        self.guard.load_state_dict(state["guard"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _record(self, row: Tensor) -> None:
        self.sums += torch.where(self.guard.skipped_in_a_row == 0, row, 0.0)


def _rate_factors(model: Network, parameters: Sequence[nn.Parameter], encoder_rate: float) -> list[float]:
    """Return the factor of the learning rate for each parameter."""
    encoder = set(model.encoder.parameters())
    return [encoder_rate if parameter in encoder else 1.0 for parameter in parameters]


def _touch_all(model: Network, forward: Callable[[Tensor], Features]) -> Tensor:
    """Return a scalar that depends on every trained parameter, from a pass over two black images."""
    features = forward(torch.zeros(2, 3, model.image_size, model.image_size, device=model.prototypes.device))
    used = [features.embeddings, model.prototypes, features.rotation_logits]
    return torch.stack([tensor.sum() for tensor in used if tensor is not None]).sum()
