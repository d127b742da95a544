"""R²VPO's surrogate: the advantage, minus a multiple of the ratio's variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.aggregation import weighted_mean
from pgtheory.objectives.decisions import Decisions

LOG_RATIO_LIMIT = 20.0
"""The paper's re-implementations bound log-ratios there, so that no stale sample overflows the exponential."""


@dataclass(frozen=True)
class RatioVariance:
    r"""Ratio-variance regularised policy optimisation (R²VPO, arXiv:2601.03320).

    .. math:: \ell=-\big[\rho A-\lambda(\rho-1)^2\big]

    is the Lagrangian of :math:`\max\mathbb E\rho A` subject to :math:`\mathbb E(\rho-1)^2\le\delta`, with its sign
    turned and without its constant. Its gradient weighs :math:`-\nabla\log\pi_\theta` by
    :math:`\rho\,(A-2\lambda(\rho-1))`: no threshold cuts a sample to zero.

    Parameters
    ----------
    multiplier : float or tensor
        :math:`\lambda\ge0`, in the units of the advantage; ``dual_ascent`` moves it. No gradient through it. A tensor
        broadcasts against the decisions: [seeds, 1] for one multiplier a seed.
    centred : bool
        Subtract the batch's mean ratio in place of 1. The mean is over the decisions' weights.

    Raises
    ------
    ValueError
        For a negative number as multiplier; the signs in a tensor are not looked at.
    """

    multiplier: Any = 1.0
    centred: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.multiplier, torch.Tensor):
            validate.non_negative("multiplier", self.multiplier)
        else:
            object.__setattr__(self, "multiplier", self.multiplier.detach())
        validate.flag("centred", self.centred)

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per decision, in the shape of ``decisions.log_prob``."""
        ratio = bounded_ratio(decisions)
        centre = weighted_mean(ratio, decisions.weights) if self.centred else 1.0
        gain = ratio * decisions.masked(decisions.advantage)
        return -decisions.masked(gain - self.multiplier * (ratio - centre) ** 2)


def ratio_variance(decisions: Decisions) -> torch.Tensor:
    r"""The constraint's left side :math:`\hat{\mathbb E}(\rho-1)^2`, a scalar without a gradient."""
    return weighted_mean((bounded_ratio(decisions).detach() - 1) ** 2, decisions.weights)


def dual_ascent(multiplier: Any, variance: Any, delta: float, step: float, cap: float) -> Any:
    r"""Projected ascent on the dual.

    .. math::
       \lambda\leftarrow\mathrm{clip}\big(
           \lambda+\eta_\lambda(\hat{\mathbb E}(\rho-1)^2-\delta),\,0,\,\lambda_{\max}\big)

    The cap matters: with stale data the constraint can be out of reach of every policy, and the multiplier
    climbs until nothing is learned any more.

    Parameters
    ----------
    multiplier, variance : float or tensor
        :math:`\lambda`, and the constraint's left side at the ratios of the loss (``ratio_variance``).
    delta, step, cap : float
        :math:`\delta`, :math:`\eta_\lambda` and :math:`\lambda_{\max}`.

    Returns
    -------
    float, or tensor if one of the first two is one
    """
    moved = multiplier + step * (variance - delta)
    return moved.clamp(0.0, cap) if isinstance(moved, torch.Tensor) else min(max(moved, 0.0), cap)


def bounded_ratio(decisions: Decisions) -> torch.Tensor:
    r""":math:`\rho` with the log-ratio kept inside ±20."""
    return decisions.log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
