"""Proximal policy optimisation."""

from dataclasses import dataclass

import torch

from pgtheory.deep.actor_critic import Outputs
from pgtheory.deep.algorithms.on_policy import Minibatch, OnPolicy, standardised
from pgtheory.mdp import validate
from pgtheory.objectives.aggregation import weighted_mean
from pgtheory.objectives.critics import value_loss
from pgtheory.objectives.decisions import Decisions
from pgtheory.objectives.surrogates import Clip


@dataclass(frozen=True, kw_only=True)
class PPO(OnPolicy):
    r"""PPO with the clipped surrogate (Schulman et al. 2017, arXiv:1707.06347).

    Parameters
    ----------
    epsilon : float
        The ratio counts only inside :math:`1\pm\epsilon`; in (0, 1].
    dual : float, optional
        Dual clip, see ``pgtheory.objectives.Clip``.
    normalise_advantages : bool
        Standardise advantages in every minibatch.
    """

    epsilon: float = 0.2
    dual: float | None = None
    normalise_advantages: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_standardisable(self.normalise_advantages)
        if not 0 < validate.finite("epsilon", self.epsilon) <= 1:
            raise ValueError(f"epsilon must lie in (0, 1], got {self.epsilon}")
        _ = self.surrogate

    @property
    def surrogate(self) -> Clip:
        """The loss of each decision."""
        return Clip(self.epsilon, dual=self.dual)

    def loss(
        self, out: Outputs, batch: Minibatch, multiplier: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clipped surrogate, the critic's error and the entropy bonus."""
        A = standardised(batch.advantage) if self.normalise_advantages else batch.advantage
        decisions = Decisions(out.log_prob, batch.log_prob, A)
        policy = weighted_mean(self.surrogate(decisions), decisions.weights)
        value = value_loss(out.value, batch.target).mean()
        return policy + self.value_coef * value - self.entropy_coef * out.entropy.mean(), multiplier
