"""Compute each row's losses, and the coefficients that its gradient needs, from its log sums. O(N), plain PyTorch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RowTerms(NamedTuple):
    """``sample_to_sample [N]``, ``normal_to_abnormal [N]`` (times the anchor's weight) and ``coefficients [4, N]``.

    With x_ij = s_ij / tau the gradient of the losses' sum by x_ij is, before it is made symmetric,

        alpha_i e_ij - [j in P(i)] beta_i e_ij + p_i [j abnormal] e_ij - r_i c_j e_ij,   e_ij = exp(x_ij),

    and the coefficients are alpha, beta, p and r, or their natural logarithms.
    """

    sample_to_sample: Tensor
    normal_to_abnormal: Tensor
    coefficients: Tensor


def row_terms(log_sums: Tensor, anchors: Tensor, *, logarithmic: bool) -> RowTerms:
    """Return each row's losses and gradient coefficients.

    Parameters
    ----------
    log_sums
        ``[4, N]``: log of sum_{j != i} e_ij, of the positives' sum, of A_i = sum c_j e_ij and of B_i = sum over
        abnormal j of e_ij; -inf for an empty sum.
    anchors
        a, ``[N]``, each row's weight as an anchor of the normal-to-abnormal term.
    logarithmic
        Return the coefficients' logarithms, for temperatures at which exp(x_ij) alone would overflow.
    """
    log_all, log_positive, log_normal, log_abnormal = log_sums
    has_positive = (log_positive != float("-inf")) | log_all.isnan()  # NaN stays, also without a positive
    has_both = (log_normal != float("-inf")) & (log_abnormal != float("-inf"))
    # The logarithms of empty sums are replaced, so that no inf - inf appears.
    log_positive = torch.where(has_positive, log_positive, 0.0)
    log_normal = torch.where(has_both, log_normal, 0.0)
    log_abnormal = torch.where(has_both, log_abnormal, 0.0)
    log_anchor = torch.where(has_both, anchors, 1.0).log()  # -inf for a row that is no anchor
    log_ratio = log_abnormal - log_normal
    log_both = torch.logaddexp(log_normal, log_abnormal)
    coefficients = torch.stack(
        (
            torch.where(has_positive, -log_all, float("-inf")),
            torch.where(has_positive, -log_positive, float("-inf")),
            torch.where(has_both, log_anchor - log_both, float("-inf")),
            torch.where(has_both, log_anchor + log_ratio - log_both, float("-inf")),
        )
    )
    return RowTerms(
        sample_to_sample=torch.where(has_positive, log_all - log_positive, 0.0),
        # log((A + B) / A) = log(1 + B / A), which keeps small ratios exact.
        normal_to_abnormal=anchors
        * torch.where(has_both, torch.logaddexp(log_ratio, torch.zeros_like(log_ratio)), 0.0),
        coefficients=coefficients if logarithmic else coefficients.exp(),
    )
