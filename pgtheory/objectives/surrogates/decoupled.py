"""Decoupled PPO: one policy sampled, another bounds the step."""

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions


@dataclass(frozen=True)
class Decoupled:
    r"""PPO's clip around a proximal policy, importance weights from the one that sampled (arXiv:2110.00641; 2605.12070).

    .. math::
       \ell=-M_d\,r_d\min\{r_sA,\ \mathrm{clip}(r_s,1\pm\epsilon)A\},\qquad
       r_d=\frac{\pi_{prox}}{\mu_{old}},\quad r_s=\frac{\pi_\theta}{\pi_{prox}},\quad M_d=\mathbf 1[1/c\le r_d\le c].

    ``log_prob_old`` is :math:`\log\mu_{old}`, ``log_prob_prox`` the proximal policy: the old one (PPO), the actor when the batch
    arrived, or a moving average of the weights (``ProximalAverage``).

    Parameters
    ----------
    epsilon : float
    discrepancy : float, optional
        :math:`c\ge1`; nothing is masked without it.
    weighted : bool
        Multiply by :math:`r_d`; without it :math:`\mu_{old}` only masks.
    cap : float
        Bound on the total ratio :math:`\pi_\theta/\mu_{old}` (100 in the code of 2110.00641).
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
        A = decisions.masked(decisions.advantage)
        log_prox, log_sampler = self._policies(decisions)
        r_s = decisions.masked(decisions.log_prob - log_prox).exp()
        r_d = decisions.masked(log_prox - log_sampler).exp()
        loss = -torch.minimum(r_s * A, r_s.clamp(1 - self.epsilon, 1 + self.epsilon) * A)
        if self.weighted:
            loss = r_d * loss
        return loss * self.keeps(decisions)

    def keeps(self, decisions: Decisions) -> torch.Tensor:
        r""":math:`M_d`; multiply the weights by it to average over what is kept only."""
        if self.discrepancy is None:
            return torch.ones_like(decisions.advantage)
        log_prox, log_sampler = self._policies(decisions)
        r_d = decisions.masked(log_prox - log_sampler).exp()
        return ((r_d >= 1 / self.discrepancy) & (r_d <= self.discrepancy)).to(r_d.dtype)

    def active(self, decisions: Decisions) -> torch.Tensor:
        """1 where a decision passes both mask and clip, so that it has a gradient; 0 elsewhere."""
        log_prox, _ = self._policies(decisions)
        r_s = decisions.masked(decisions.log_prob.detach() - log_prox).exp()
        A = decisions.masked(decisions.advantage)
        clipped = ((A > 0) & (r_s > 1 + self.epsilon)) | ((A < 0) & (r_s < 1 - self.epsilon))
        return self.keeps(decisions) * (~clipped).to(r_s.dtype)

    def _policies(self, decisions: Decisions) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the proximal policy, and of the sampler after the cap."""
        if decisions.log_prob_prox is None:
            raise ValueError("decisions must have log_prob_prox, the proximal policy's log-probabilities")
        floor = decisions.log_prob.detach() - torch.log(torch.tensor(self.cap, dtype=decisions.log_prob.dtype))
        return decisions.log_prob_prox, torch.maximum(decisions.log_prob_old, floor)


@dataclass(frozen=True)
class ProximalAverage:
    r"""A moving average of weights, :math:`\theta_{prox}=\sum_k\beta^{t-k}\theta(k)/\sum_k\beta^{t-k}` (arXiv:2110.00641).

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
        return ProximalAverage(self.theta + (theta - self.theta) / weight, weight)


def beta_of_window(window: float) -> float:
    r""":math:`\beta=W/(W+2)`, whose centre of mass :math:`W/2` lies in the middle of a window of W steps."""
    return validate.non_negative("window", window) / (window + 2)
