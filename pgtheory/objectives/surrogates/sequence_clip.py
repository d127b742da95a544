"""GSPO: one ratio for a whole sequence."""

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions


@dataclass(frozen=True)
class SequenceClip:
    r"""The clipped surrogate on the length-normalised sequence ratio (GSPO, arXiv:2507.18071).

    .. math:: w_i=\exp\Big(\frac1{|o_i|}\sum_t\log\rho_{it}\Big),\qquad\ell_i=-\min\{w_iA_i,\mathrm{clip}(w_i)A_i\}

    Every token of a sequence carries its sequence's loss, so that ``sequence_mean`` is the paper's objective: a whole
    answer is clipped or kept. The token form has the ratio's *value* from the sequence and its gradient from the token;
    with one advantage for a sequence both have the same gradient. The clip is finer than half precision resolves: give
    it log-probabilities of at least float32 (``Groups`` does).

    Parameters
    ----------
    low, high : float
        :math:`\epsilon_l,\epsilon_h`, orders of magnitude below those of token ratios.
    token : bool
        The token form.
    """

    low: float = 3e-4
    high: float = 4e-4
    token: bool = False

    def __post_init__(self) -> None:
        if not 0 < validate.finite("low", self.low) <= 1:
            raise ValueError(f"low must lie in (0, 1], got {self.low}")
        validate.positive("high", self.high)
        validate.flag("token", self.token)

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per token, in the shape of ``decisions.log_prob`` [..., T]."""
        A = decisions.masked(decisions.advantage)
        w = sequence_log_ratio(decisions)[..., None].exp()
        if not self.token:
            return decisions.masked(-torch.minimum(w * A, w.clamp(1 - self.low, 1 + self.high) * A))
        w = w.detach()
        whole, clipped = w * A, w.clamp(1 - self.low, 1 + self.high) * A
        slope = torch.where(whole <= clipped, whole, torch.zeros_like(whole))
        log_ratio = decisions.log_ratio
        return -torch.minimum(whole, clipped) - slope * (log_ratio - log_ratio.detach())


def sequence_log_ratio(decisions: Decisions) -> torch.Tensor:
    r"""Mean log-ratio :math:`\bar s` of each sequence's tokens [...], 0 for a sequence without tokens."""
    there = (decisions.weights > 0).to(decisions.log_prob.dtype)
    return decisions.log_ratio.sum(-1) / there.sum(-1).clamp(min=1)
