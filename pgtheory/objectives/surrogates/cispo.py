"""CISPO: clip the weight, keep every token's gradient."""

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions


@dataclass(frozen=True)
class CISPO:
    r"""Clipped importance weights on the log-likelihood (MiniMax-M1, arXiv:2506.13585).

    .. math:: \ell=-\mathrm{sg}[\mathrm{clip}(\rho,c_l,c_h)]\,A\log\pi_\theta

    Parameters
    ----------
    cap : float
        :math:`c_h`, the largest weight itself (TRL's ``epsilon_high``; verl's cap is 1 + ``clip_ratio_high``).
    floor : float
        :math:`c_l`, off at 0.
    """

    cap: float = 5.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not validate.non_negative("floor", self.floor) <= 1 <= validate.finite("cap", self.cap):
            raise ValueError(f"floor <= 1 <= cap must hold, got {self.floor} and {self.cap}")

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per decision, in the shape of ``decisions.log_prob``."""
        weight = decisions.ratio.detach().clamp(self.floor, self.cap)
        return -weight * decisions.masked(decisions.advantage) * decisions.masked(decisions.log_prob)
