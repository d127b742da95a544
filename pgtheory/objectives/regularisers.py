"""Penalties on the distance to a reference policy, estimated from sampled tokens."""

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.decisions import Decisions

ESTIMATORS = ("k1", "k2", "k3")


@dataclass(frozen=True)
class KLPenalty:
    r"""An estimator of :math:`\mathrm{KL}(\pi_\theta\Vert\pi_{ref})` per token (Schulman 2020).

    With :math:`x=\log\pi_{ref}-\log\pi_\theta` on samples of :math:`\pi_\theta`:
    :math:`k_1=-x`, :math:`k_2=\frac12x^2`, :math:`k_3=e^x-1-x`. As *losses* on on-policy samples their expected
    gradients are zero, that of :math:`\mathrm{KL}(\pi_\theta\Vert\pi_{ref})`, and that of
    :math:`\mathrm{KL}(\pi_{ref}\Vert\pi_\theta)`: the value says nothing about the gradient. In the *reward*
    (subtracted before credit, without gradient) use k1.

    Parameters
    ----------
    estimator : {"k1", "k2", "k3"}
    coefficient : float
    in_reward : bool
        Taken from an answer's reward, summed over its tokens, under the policy that sampled them.
    limit : float, optional
        Bound on :math:`|x|` (20 in verl).

    Raises
    ------
    ValueError
        For another estimator, and for decisions without ``log_prob_ref``.
    """

    estimator: str = "k3"
    coefficient: float = 1e-3
    in_reward: bool = False
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, got {self.estimator!r}")
        validate.non_negative("coefficient", self.coefficient)
        validate.flag("in_reward", self.in_reward)
        if self.limit is not None:
            validate.positive("limit", self.limit)

    def __call__(self, decisions: Decisions) -> torch.Tensor:
        """Coefficient times the estimate per token, in the shape of ``decisions.log_prob``."""
        if decisions.log_prob_ref is None:
            raise ValueError("decisions must have log_prob_ref, the reference policy's log-probabilities")
        x = decisions.masked(decisions.log_prob_ref - decisions.log_prob)
        if self.limit is not None:
            x = x.clamp(-self.limit, self.limit)
        match self.estimator:
            case "k1":
                k = -x
            case "k2":
                k = x**2 / 2
            case _:
                k = torch.expm1(x) - x
        return self.coefficient * k
