"""The operations of HSCL: contrastive sweep, prototypes and views. Needs torch, and Triton on a GPU."""

from hscl_kernels.contrast.op import HSCLLoss, hscl_loss, info_nce
from hscl_kernels.draws.distribution import ViewDistribution
from hscl_kernels.draws.op import draw_view_parameters
from hscl_kernels.prototypes.op import prototype_similarity
from hscl_kernels.prototypes.rows import normal_weights, unit
from hscl_kernels.views.op import augment_views
from hscl_kernels.views.parameters import ViewParameters

__all__ = [
    "HSCLLoss",
    "ViewDistribution",
    "ViewParameters",
    "augment_views",
    "draw_view_parameters",
    "hscl_loss",
    "info_nce",
    "normal_weights",
    "prototype_similarity",
    "unit",
]
