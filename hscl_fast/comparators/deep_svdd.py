"""Deep SVDD (Ruff et al., ICML 2018): all images are pulled to one centre, without labels."""

from __future__ import annotations

from pytorch_ood.loss import DeepSVDDLoss
from torch import Tensor

from hscl_fast.comparators.blocks.one_class import OneClassComparator


class DeepSVDDComparator(OneClassComparator):
    """The one-class form: the mean of ``|phi(x) - c|^2`` over all images that are not labelled anomalies.

    The schedule of the mode ``original`` is that of Deep SAD's publication, in which Deep SVDD is compared.
    """

    learns_from_anomalies = False

    def loss(self, features: Tensor, centre: Tensor, roles: Tensor, epoch: float) -> Tensor:
        """Return the mean squared distance from the centre."""
        loss: Tensor = DeepSVDDLoss(len(centre), center=centre)(features)
        return loss
