"""Bounded policy optimisation."""

from dataclasses import dataclass

import torch

from pgtheory.deep.actor_critic import Outputs
from pgtheory.deep.algorithms.on_policy import Minibatch, OnPolicy
from pgtheory.mdp import validate
from pgtheory.objectives.aggregation import weighted_mean
from pgtheory.objectives.critics import median_loss, value_loss
from pgtheory.objectives.decisions import Decisions
from pgtheory.objectives.surrogates import BoundedRatio


@dataclass(frozen=True, kw_only=True)
class BPO(OnPolicy):
    r"""BPO, Algorithm 1 of arXiv:2604.18578, with the choices of its official code.

    .. math::
       |R-V(s)|\cdot\Big|\rho-\Big(1+\epsilon\tanh\tfrac{R-\mu(s)}{2\lambda}\Big)\Big|
       +c_v(V-R)^2+c_u\,g\big((R-\mu)/\tau\big)-c_{ent}\mathcal H

    R is GAE's return target. Weight and baseline come from the *current* critic and median head at every minibatch,
    without their gradient. No advantage is normalised (it would destroy the scale that :math:`\lambda` acts on), no
    ratio or value is clipped, nothing stops early.

    Parameters
    ----------
    epsilon : float
        Half the width of the ratio box, in (0, 1).
    temperature : float
        :math:`\lambda\ge0` of the target, in units of return.
    use_median : bool
        Without it the target is centred by V, and there is no median loss.
    median_temperature : float
        :math:`\tau` of the median loss; 1 in the official code, :math:`\lambda` in the paper.
    median_coef : float
        :math:`c_u`.
    divergence : str
        "atv", or another of the ablation (``pgtheory.objectives.BoundedRatio``).
    tv_weight : float
        :math:`\alpha_1`, plain total variation on top.
    limit : float, optional
        Bound on :math:`|R-\mu|/\lambda` (10 in the authors' RSL-RL variant).
    """

    epsilon: float = 0.3
    temperature: float = 1e-3
    use_median: bool = True
    median_temperature: float = 1.0
    median_coef: float = 0.5
    divergence: str = "atv"
    tv_weight: float = 0.0
    limit: float | None = None
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.flag("use_median", self.use_median)
        validate.positive("median_temperature", self.median_temperature)
        validate.non_negative("median_coef", self.median_coef)
        if not 0 < validate.finite("epsilon", self.epsilon) < 1:
            raise ValueError(f"epsilon must lie in (0, 1), got {self.epsilon}")
        _ = self.surrogate

    @property
    def has_median(self) -> bool:  # type: ignore[override]
        """Whether the networks need a median head."""
        return self.use_median

    @property
    def surrogate(self) -> BoundedRatio:
        """The loss of each decision."""
        return BoundedRatio(
            self.epsilon,
            temperature=self.temperature,
            divergence=self.divergence,
            tv_weight=self.tv_weight,
            limit=self.limit,
        )

    def loss(
        self, out: Outputs, batch: Minibatch, multiplier: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Bounded-ratio surrogate, the errors of critic and median head, and the entropy bonus."""
        R = batch.target
        decisions = Decisions(out.log_prob, batch.log_prob, R - out.value, median_advantage=R - out.median)
        loss = weighted_mean(self.surrogate(decisions), decisions.weights)
        loss = loss + self.value_coef * value_loss(out.value, R).mean()
        if self.use_median:
            loss = loss + self.median_coef * median_loss(out.median, R, self.median_temperature).mean()
        return loss - self.entropy_coef * out.entropy.mean(), multiplier
