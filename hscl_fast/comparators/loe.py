"""Latent outlier exposure (Qiu et al., ICML 2022), with the labels as in its successor SOEL (Li et al., ICML 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from hscl_fast.comparators.blocks.one_class import OneClassComparator
from hscl_fast.data.types import ABNORMAL, UNLABELLED

PLAIN_EPOCHS = 2
EPS = 1e-6


class LOEComparator(OneClassComparator):
    """A one-class training that expects hidden anomalies among the unlabelled images.

    With ``L_n = d = |phi(x) - c|^2`` and ``L_a = 1 / (d + 1e-6)``, the losses of Deep SAD, a labelled normal has L_n
    and a labelled anomaly L_a. Of the unlabelled images of a batch, the share ``evaluate.contamination`` with the
    largest L_n - L_a has ``L_n / 2 + L_a / 2`` (the soft form), and the others L_n. In the first two epochs all
    unlabelled images have L_n.

    It is LOE on the one-class loss, not on the neural transformations of its publication. The share of anomalies that
    it expects is a setting, and not looked up in the split.
    """

    learns_from_anomalies = True

    def loss(self, features: Tensor, centre: Tensor, roles: Tensor, epoch: float) -> Tensor:
        """Return the mean over the batch."""
        normal = (features - centre).square().sum(dim=1)
        abnormal = 1 / (normal + EPS)
        suspected = torch.zeros_like(normal)
        if epoch >= PLAIN_EPOCHS:
            suspected = self._suspected((normal - abnormal).detach(), roles)
        mixed = (1 - suspected / 2) * normal + suspected / 2 * abnormal
        return torch.where(roles == ABNORMAL, abnormal, mixed).mean()

    def _suspected(self, excess: Tensor, roles: Tensor) -> Tensor:
        """Return 1 for the unlabelled images ``[B]`` with the largest excess, as many as are expected, else 0."""
        unlabelled = roles == UNLABELLED
        count = (self.setting.config.evaluate.contamination * unlabelled.sum()).round()
        ranks = torch.where(unlabelled, excess, -torch.inf).argsort(descending=True, stable=True).argsort()
        return (ranks < count).float()
