"""The plain surrogate, whose gradient at the old policy is the policy gradient."""

from dataclasses import dataclass

import torch

from pgtheory.objectives.decisions import Decisions


@dataclass(frozen=True)
class ImportanceWeighted:
    r"""Importance-weighted advantage, :math:`\ell=-\rho A`, with nothing that bounds the ratio.

    Source: Kakade and Langford 2002; Schulman et al. 2015 (arXiv:1502.05477, Eq. 3).
    """

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per decision, in the shape of ``decisions.log_prob``."""
        return -decisions.ratio * decisions.masked(decisions.advantage)
