"""V-trace: credit for steps that an older policy took."""

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.credit.gae import unit_interval
from pgtheory.objectives.credit.scan import backward_scan
from pgtheory.objectives.credit.steps import Credit, Steps


@dataclass(frozen=True)
class VTrace:
    r"""Off-policy corrected values (Espeholt et al. 2018, arXiv:1802.01561, Eq. 1 and Remark 1).

    With :math:`\rho_t=\min(\bar\rho,\pi/\mu)` and :math:`c_t=\lambda\min(\bar c,\pi/\mu)`,

    .. math::
       v_t=V(s_t)+\delta_t+\gamma c_t\big(v_{t+1}-V(s_{t+1})\big),\quad
       \delta_t=\rho_t\big(r_t+\gamma V(s_{t+1})-V(s_t)\big),\qquad
       \hat A_t=\rho_t\big(r_t+\gamma v_{t+1}-V(s_t)\big).

    On policy, with both bounds at least 1, ``v`` is the target of ``GAE(discount, lam)``.

    Parameters
    ----------
    discount, lam : float
        :math:`\gamma,\lambda\in[0,1]`.
    rho_bar, c_bar : float
        Bounds on the ratios in :math:`\delta_t` and in the trace.
    """

    discount: float = 0.99
    lam: float = 1.0
    rho_bar: float = 1.0
    c_bar: float = 1.0

    def __post_init__(self) -> None:
        unit_interval("discount", self.discount)
        unit_interval("lam", self.lam)
        validate.positive("rho_bar", self.rho_bar)
        validate.positive("c_bar", self.c_bar)

    def __call__(self, steps: Steps, log_ratio: torch.Tensor) -> Credit:
        r"""Credit of steps [T, ...] under ratios :math:`\log\pi/\mu` [T, ...]."""
        if log_ratio.shape != steps.rewards.shape:
            raise ValueError(
                f"log_ratio must have the shape of rewards, {list(steps.rewards.shape)}, got {list(log_ratio.shape)}"
            )
        ratio, after = log_ratio.detach().exp(), steps.successors()
        rho, c = ratio.clamp(max=self.rho_bar), self.lam * ratio.clamp(max=self.c_bar)
        delta = rho * (steps.rewards + self.discount * after - steps.values)
        correction = backward_scan(delta, self.discount * c * steps.continues())
        following = torch.cat([correction[1:], torch.zeros_like(correction[:1])]) * steps.continues()
        advantage = rho * (steps.rewards + self.discount * (after + following) - steps.values)
        return Credit(advantage, steps.values + correction)
