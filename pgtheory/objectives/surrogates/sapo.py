"""SAPO: a soft gate in place of the clip."""

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions


@dataclass(frozen=True)
class SoftGate:
    r"""A sigmoid gate on the ratio (SAPO), as TRL implements it; the paper was not read.

    .. math:: \ell=-\tfrac4\tau\,\sigma(\tau(\rho-1))\,A

    with a sharper :math:`\tau` where :math:`A<0`. Its slope at :math:`\rho=1` is :math:`-A`.
    """

    tau_positive: float = 1.0
    tau_negative: float = 1.05

    def __post_init__(self) -> None:
        validate.positive("tau_positive", self.tau_positive)
        validate.positive("tau_negative", self.tau_negative)

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per decision, in the shape of ``decisions.log_prob``."""
        A = decisions.masked(decisions.advantage)
        tau = torch.where(A > 0, torch.full_like(A, self.tau_positive), self.tau_negative)
        return -4 / tau * torch.sigmoid(tau * (decisions.ratio - 1)) * A
