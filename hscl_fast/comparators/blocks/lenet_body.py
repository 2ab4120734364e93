"""The small network of Deep SVDD, pre-trained as an autoencoder, with the schedule of Deep SAD's publication."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, within
from hscl_fast.comparators.blocks.lenet import LeNet, MirroredDecoder, network_pixels
from hscl_fast.comparators.blocks.loop import Stage, adam
from hscl_fast.comparators.blocks.one_class_body import OneClassBody, Plan
from hscl_fast.comparators.blocks.rates import milestones
from hscl_fast.comparators.comparator import Setting
from hscl_fast.method.image_batches import ImageSequence, on_device, slices

BATCH, EPOCHS, LEARNING_RATE = 128, 150, 1e-4
_LEAST = 0.1  # of a coordinate of the centre: one at 0 could be reached by weights of 0


class LeNetBody(OneClassBody):
    """An encoder and its decoder: 150 epochs of mean squared error, then 150 of the one-class loss.

    Both have batches of 128 images in [0, 1] without augmentation, and Adam at a rate of 1e-4 with a penalty of 5e-4,
    then 5e-7; the second rate falls to a tenth after a third of the steps. Both are shortened alike where they would
    take more views than HSCL.

    Parameters
    ----------
    setting
        Seed, device and budget.
    grey
        Whether the training images are grey.
    """

    def __init__(self, setting: Setting, *, grey: bool) -> None:
        device = setting.execution.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setting.config.runtime.seed)
            encoder = LeNet(setting.image_size, grey=grey)
            decoder = MirroredDecoder(encoder)
        super().__init__(encoder.features, device)
        self.setting, self.grey = setting, grey
        self.encoder: nn.Module = encoder.to(device)
        self.decoder: nn.Module = decoder.to(device)

    def plan(self, images: Tensor) -> Plan:
        """Return the autoencoder's stage and the schedule of the publication."""
        size, seed = min(BATCH, len(images)), self.setting.config.runtime.seed
        batches = Batches(torch.arange(len(images)), size, seed=seed, name="autoencoder")
        epochs = EPOCHS * batches.per_pass
        first, second = within(affordable_steps(self.setting, len(images), size), epochs, epochs)
        optimizer = adam(LEARNING_RATE, weight_decay=5e-4)

        def reconstruction(step: int) -> dict[str, Tensor]:
            self.train()
            pixels = self._pixels(images[batches.at(step)].to(self.setting.execution.device))
            return {"loss": functional.mse_loss(self.decoder(self.encoder(pixels)), pixels)}

        pretraining = Stage("autoencoder", first, reconstruction, [*self.parameters()], optimizer)
        trained = [*self.encoder.parameters()]
        return Plan(pretraining, second, size, trained, adam(LEARNING_RATE, weight_decay=5e-7), milestones(1 / 3))

    def features(self, images: Tensor, indices: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the features of the images as they are, and no other loss."""
        self.train()
        return self.encoder(self._pixels(images)), self.centre.new_zeros(())

    @torch.no_grad()
    def embed(self, images: ImageSequence) -> Tensor:
        """Return the features."""
        self.eval()
        batches = on_device(slices(images, self.setting.config.evaluate.batch_size), self.setting.execution.device)
        return torch.cat([self.encoder(self._pixels(batch)) for batch in batches])

    def centre_of(self, features: Tensor) -> Tensor:
        """Return the mean, with coordinates nearer to 0 than 0.1 moved to 0.1 or -0.1."""
        mean = features.mean(dim=0)
        return torch.where(mean.abs() < _LEAST, torch.where(mean < 0, -_LEAST, _LEAST), mean)

    def _pixels(self, images: Tensor) -> Tensor:
        return network_pixels(images, grey=self.grey)
