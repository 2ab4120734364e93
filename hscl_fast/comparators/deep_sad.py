"""Deep SAD (Ruff et al., ICLR 2020): images are pulled to a centre, and labelled anomalies are pushed away from it."""

from __future__ import annotations

from pytorch_ood.loss import DeepSADLoss
from torch import Tensor

from hscl_fast.comparators.blocks.one_class import OneClassComparator


class DeepSADComparator(OneClassComparator):
    """The mean of ``d = |phi(x) - c|^2``, and of ``1 / (d + 1e-6)`` for labelled anomalies.

    The weight eta of labelled images is 1, as in the publication, so that labelled normals count as unlabelled ones.
    """

    learns_from_anomalies = True

    def loss(self, features: Tensor, centre: Tensor, roles: Tensor, epoch: float) -> Tensor:
        """Return the mean over the batch."""
        loss: Tensor = DeepSADLoss(len(centre), center=centre)(features, roles)
        return loss
