"""Ratio-variance regularised policy optimisation."""

from dataclasses import dataclass

import torch

from pgtheory.deep.actor_critic import Outputs
from pgtheory.deep.algorithms.on_policy import Minibatch, OnPolicy, standardised
from pgtheory.mdp import validate
from pgtheory.objectives.aggregation import weighted_mean
from pgtheory.objectives.critics import value_loss
from pgtheory.objectives.decisions import Decisions
from pgtheory.objectives.surrogates import RatioVariance, dual_ascent, ratio_variance


@dataclass(frozen=True, kw_only=True)
class R2VPO(OnPolicy):
    r"""On-policy R²VPO (arXiv:2601.03320): maximise :math:`\mathbb E\rho A` while :math:`\mathbb E(\rho-1)^2\le\delta`.

    The multiplier climbs while the constraint is violated, one step a minibatch, from the same ratios as the loss; it
    is kept from update to update and never leaves :math:`[0,\lambda_{\max}]`. The paper's own values were not
    available: these defaults are this library's.

    Parameters
    ----------
    delta : float
        :math:`\delta`; :math:`\epsilon^2` matches a clip at :math:`\epsilon` when every sample sits on its edge.
    multiplier, dual_rate, cap : float
        :math:`\lambda_0,\eta_\lambda,\lambda_{\max}`, in units of the advantage; ``dual_rate=0`` keeps it fixed.
    centred : bool
        Subtract the minibatch's mean ratio in place of 1.
    normalise_advantages : bool
        Standardise advantages in every minibatch, which gives the multiplier a scale.
    """

    delta: float = 0.04
    multiplier: float = 1.0
    dual_rate: float = 1.0
    cap: float = 20.0
    centred: bool = False
    normalise_advantages: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.positive("delta", self.delta)
        validate.non_negative("dual_rate", self.dual_rate)
        validate.flag("centred", self.centred)
        self._check_standardisable(self.normalise_advantages)
        if not 0 <= validate.finite("multiplier", self.multiplier) <= validate.positive("cap", self.cap):
            raise ValueError(f"multiplier must lie in [0, cap] = [0, {self.cap}], got {self.multiplier}")

    def initial_multiplier(self) -> float:
        """The multiplier of the first minibatch."""
        return self.multiplier

    def loss(
        self, out: Outputs, batch: Minibatch, multiplier: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Lagrangian, the critic's error and the entropy bonus; and the multiplier after a dual step."""
        A = standardised(batch.advantage) if self.normalise_advantages else batch.advantage
        decisions = Decisions(out.log_prob, batch.log_prob, A)
        surrogate = RatioVariance(multiplier, centred=self.centred)
        loss = weighted_mean(surrogate(decisions), decisions.weights)
        loss = loss + self.value_coef * value_loss(out.value, batch.target).mean()
        after = dual_ascent(multiplier, ratio_variance(decisions), self.delta, self.dual_rate, self.cap)
        return loss - self.entropy_coef * out.entropy.mean(), after
