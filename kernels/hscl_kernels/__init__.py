"""The operations of HSCL: contrastive sweep, prototypes and views. Needs torch and nothing else."""

from hscl_kernels.contrast.reference import HSCLLoss, hscl_loss, info_nce
from hscl_kernels.prototypes.reference import prototype_similarity
from hscl_kernels.views.parameters import ViewParameters
from hscl_kernels.views.reference import augment_views

__all__ = [
    "HSCLLoss",
    "ViewParameters",
    "augment_views",
    "hscl_loss",
    "info_nce",
    "prototype_similarity",
]
