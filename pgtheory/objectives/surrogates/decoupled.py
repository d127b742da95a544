"""Decoupled PPO: one policy sampled, another bounds the step."""

from dataclasses import dataclass
from math import inf, log, log1p

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions


@dataclass(frozen=True)
class Decoupled:
    r"""PPO's clip around a proximal policy, weights from the one that sampled (arXiv:2110.00641, 2605.12070).

    .. math::
       \ell=-M_d\,r_d\min\{r_sA,\ \mathrm{clip}(r_s,1\pm\epsilon)A\},\qquad
       r_d=\frac{\pi_{prox}}{\mu_{old}},\quad r_s=\frac{\pi_\theta}{\pi_{prox}},\quad M_d=\mathbf 1[1/c\le r_d\le c].

    ``log_prob_old`` is :math:`\log\mu_{old}`, ``log_prob_prox`` the proximal policy: the old one (PPO), the actor when
    the batch arrived, or a moving average of the weights (``ProximalAverage``).

    Parameters
    ----------
    epsilon : float
    discrepancy : float, optional
        :math:`c\ge1`; nothing is masked without it.
    weighted : bool
        Multiply by :math:`r_d`; without it :math:`\mu_{old}` only masks.
    cap : float
        Bound on the total ratio :math:`\pi_\theta/\mu_{old}` (100 in the code of 2110.00641), kept by raising
        :math:`\mu_{old}` in the weight. The mask looks at :math:`r_d` as it is.

    Raises
    ------
    ValueError
        If the decisions have no ``log_prob_prox``.
    """

    epsilon: float = 0.2
    discrepancy: float | None = None
    weighted: bool = True
    cap: float = 100.0

    def __post_init__(self) -> None:
        validate.positive("epsilon", self.epsilon)
        validate.positive("cap", self.cap)
        validate.flag("weighted", self.weighted)
        if self.discrepancy is not None and not validate.finite("discrepancy", self.discrepancy) >= 1:
            raise ValueError(f"discrepancy must be at least 1, got {self.discrepancy}")

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Loss per decision, in the shape of ``decisions.log_prob``; 0 for what the mask drops."""
        kept = self.keeps(decisions)
        A = decisions.masked(decisions.advantage) * kept
        log_r_s, log_r_d = self._log_ratios(decisions)
        # in logarithms, and 0 for what is dropped: an overflow there would leave a NaN in the gradient
        log_r_s = torch.where(kept > 0, log_r_s, torch.zeros_like(log_r_s))
        log_r_d = torch.where(kept > 0, log_r_d, torch.zeros_like(log_r_d))
        least = log1p(-self.epsilon) if self.epsilon < 1 else -inf
        clipped = log_r_d + log_r_s.clamp(least, log1p(self.epsilon))
        return -torch.minimum((log_r_d + log_r_s).exp() * A, clipped.exp() * A)

    def keeps(self, decisions: Decisions) -> torch.Tensor:
        r""":math:`M_d`; multiply the weights by it to average over what is kept only."""
        log_prox = self._proximal(decisions)
        if self.discrepancy is None:
            return torch.ones_like(decisions.advantage)
        r_d = decisions.masked(log_prox - decisions.log_prob_old).exp()
        return ((r_d >= 1 / self.discrepancy) & (r_d <= self.discrepancy)).to(r_d.dtype)

    def active(self, decisions: Decisions) -> torch.Tensor:
        """1 where a decision passes both mask and clip, so that it has a gradient; 0 elsewhere."""
        r_s = decisions.masked(decisions.log_prob.detach() - self._proximal(decisions)).exp()
        A = decisions.masked(decisions.advantage)
        clipped = ((A > 0) & (r_s > 1 + self.epsilon)) | ((A < 0) & (r_s < 1 - self.epsilon))
        return self.keeps(decisions) * (~clipped).to(r_s.dtype)

    def _log_ratios(self, decisions: Decisions) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithms of :math:`r_s`, and of :math:`r_d` after the cap (0 where it does not weigh)."""
        log_prox = self._proximal(decisions)
        log_r_s = decisions.masked(decisions.log_prob - log_prox)
        if not self.weighted:
            return log_r_s, torch.zeros_like(decisions.advantage)
        log_sampler = torch.maximum(decisions.log_prob_old, decisions.log_prob.detach() - log(self.cap))
        return log_r_s, decisions.masked(log_prox - log_sampler)

    def _proximal(self, decisions: Decisions) -> torch.Tensor:
        """Log-probabilities of the proximal policy."""
        if decisions.log_prob_prox is None:
            raise ValueError("decisions must have log_prob_prox, the proximal policy's log-probabilities")
        return decisions.log_prob_prox


@dataclass(frozen=True, eq=False)
class ProximalAverage:
    r"""A moving average of weights (arXiv:2110.00641).

    .. math:: \theta_{prox}(t)=\sum_{k\le t}\beta^{t-k}\theta(k)\Big/\sum_{k\le t}\beta^{t-k}

    arXiv:2605.12070 starts it over (``beta=0``) when the share of ``Decoupled.active`` falls below 0.9.

    Attributes
    ----------
    theta : tensor
        The average; the first weights at the start.
    weight : float
        Sum of the factors so far.
    """

    theta: torch.Tensor
    weight: float = 1.0

    def update(self, theta: torch.Tensor, beta: float) -> "ProximalAverage":
        """The average with one more vector of weights; ``beta=0`` starts over from it."""
        if not 0 <= validate.finite("beta", beta) < 1:
            raise ValueError(f"beta must lie in [0, 1), got {beta}")
        weight = beta * self.weight + 1
        return ProximalAverage(torch.lerp(self.theta, theta.detach(), 1 / weight), weight)


def beta_of_window(window: float) -> float:
    r""":math:`\beta=W/(W+2)`, whose centre of mass :math:`W/2` lies in the middle of a window of W steps."""
    return validate.non_negative("window", window) / (window + 2)
