"""Trust-region policy optimisation, and the natural policy gradient with the same step length."""

from dataclasses import dataclass
from typing import Any

import torch

from pgtheory.deep.actor_critic import ActorCritic, Outputs
from pgtheory.deep.algorithms.on_policy import Batch, Minibatch, OnPolicy, standardised
from pgtheory.deep.trust_region import natural_step, trust_region_step
from pgtheory.mdp import validate
from pgtheory.objectives.aggregation import weighted_mean
from pgtheory.objectives.critics import value_loss
from pgtheory.objectives.decisions import Decisions
from pgtheory.objectives.surrogates import ImportanceWeighted


@dataclass(frozen=True, kw_only=True)
class TRPO(OnPolicy):
    r"""TRPO (arXiv:1502.05477): one natural step of the actor an update, then epochs of the critic.

    ``epochs``, ``minibatch``, ``learning_rate`` and ``max_grad_norm`` are the critic's.

    Parameters
    ----------
    radius : float
        Bound :math:`\delta` on the mean :math:`\mathrm{KL}(\pi_{old}\Vert\pi)` of an update, in nats.
    damping : float
        Added to the Fisher matrix where it is inverted.
    cg_iterations, backtracks : int
        Iterations of conjugate gradients, and of the line search, which puts the old parameters back if it fails.
    line_search : bool
        Without it this is the natural policy gradient of arXiv:1703.02660, Eq. 5.
    normalise_advantages : bool
        Standardise advantages over the rollout.
    """

    minibatch: int = 128
    learning_rate: float = 1e-3
    radius: float = 0.01
    damping: float = 0.1
    cg_iterations: int = 15
    backtracks: int = 10
    line_search: bool = True
    normalise_advantages: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.positive("radius", self.radius)
        validate.non_negative("damping", self.damping)
        validate.positive_integer("cg_iterations", self.cg_iterations)
        validate.positive_integer("backtracks", self.backtracks, 0)
        validate.flag("line_search", self.line_search)
        validate.flag("normalise_advantages", self.normalise_advantages)
        if self.entropy_coef:
            raise ValueError(
                f"entropy_coef must be 0, got {self.entropy_coef}: the KL ball bounds the step here"
            )

    def before_epochs(
        self, networks: ActorCritic, theta: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """The actor's step on the whole rollout."""
        A = standardised(batch.advantage) if self.normalise_advantages else batch.advantage
        n, rest = networks.actor_dim, theta[networks.actor_dim :]
        with torch.no_grad():
            old = networks.actor(networks.split(theta), batch.observations)

        def at(actor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return networks.actor(networks.split(torch.cat([actor, rest])), batch.observations)

        def surrogate(actor: torch.Tensor) -> torch.Tensor:
            decisions = Decisions(networks.head.log_prob(*at(actor), batch.actions), batch.log_prob, A)
            return weighted_mean(ImportanceWeighted()(decisions), decisions.weights)

        def kl(actor: torch.Tensor) -> torch.Tensor:
            return networks.head.kl(*old, *at(actor)).mean()

        size: dict[str, Any] = {
            "radius": self.radius,
            "damping": self.damping,
            "cg_iterations": self.cg_iterations,
        }
        if self.line_search:
            step = trust_region_step(surrogate, kl, theta[:n], backtracks=self.backtracks, **size)
        else:
            step = natural_step(surrogate, kl, theta[:n], **size)
        return torch.cat([step.theta, rest]), {
            "losses/improvement": step.improvement,
            "losses/kl": step.kl,
            "losses/accepted": float(step.accepted),
            "losses/backtracks": float(step.backtracks),
            "losses/cg_residual": step.cg_residual,
        }

    def loss(
        self, out: Outputs, batch: Minibatch, multiplier: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The critic's error."""
        return value_loss(out.value, batch.target).mean(), multiplier
