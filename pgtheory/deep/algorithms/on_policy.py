"""What every on-policy algorithm here has in common: how much data, how it is credited, how often it is used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch

from pgtheory.deep.actor_critic import ActorCritic, Outputs
from pgtheory.mdp import validate
from pgtheory.objectives.credit import GAE


class Batch(NamedTuple):
    """All decisions of a rollout: observations [n, d], actions [n, width], and what was noted down [n]."""

    observations: torch.Tensor
    actions: torch.Tensor
    log_prob: torch.Tensor
    advantage: torch.Tensor
    target: torch.Tensor


class Minibatch(NamedTuple):
    """Decisions [n] as the rollout left them."""

    log_prob: torch.Tensor
    advantage: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class OnPolicy(ABC):
    r"""Roll out, credit by GAE, then epochs of Adam over shuffled minibatches.

    Parameters
    ----------
    n_steps : int
        Steps of each environment between updates.
    minibatch, epochs : int
        Decisions a step of Adam, and passes over the rollout.
    learning_rate : float
    anneal : bool
        Let the learning rate fall linearly to zero over the run.
    discount, lam : float
        :math:`\gamma` and :math:`\lambda` of GAE.
    value_coef, entropy_coef : float
        Weights :math:`c_v` of the critic's squared error and :math:`c_{ent}` of the entropy bonus.
    max_grad_norm : float
        The gradient of everything together is scaled down to this norm.

    Raises
    ------
    TypeError, ValueError
        Naming the field, what it held and what was expected.
    """

    n_steps: int = 2048
    minibatch: int = 64
    epochs: int = 10
    learning_rate: float = 3e-4
    anneal: bool = False
    discount: float = 0.99
    lam: float = 0.95
    value_coef: float = 0.5
    entropy_coef: float = 0.0
    max_grad_norm: float = 0.5

    has_median: ClassVar[bool] = False
    """Whether the networks need a median head."""

    adam_epsilon: ClassVar[float] = 1e-5

    def __post_init__(self) -> None:
        for name in ("n_steps", "minibatch", "epochs"):
            validate.positive_integer(name, getattr(self, name))
        for name in ("learning_rate", "max_grad_norm"):
            validate.positive(name, getattr(self, name))
        for name in ("value_coef", "entropy_coef"):
            validate.non_negative(name, getattr(self, name))
        validate.flag("anneal", self.anneal)
        _ = self.credit

    def _check_standardisable(self, normalise_advantages: bool) -> None:
        """Refuse minibatches of one: a single advantage has no standard deviation."""
        if validate.flag("normalise_advantages", normalise_advantages) and self.minibatch < 2:
            raise ValueError(
                f"minibatch must be at least 2, got {self.minibatch}, or normalise_advantages must be False: "
                "a single advantage has no standard deviation"
            )

    @property
    def credit(self) -> GAE:
        """How steps are credited."""
        return GAE(self.discount, self.lam)

    def initial_multiplier(self) -> float:
        """A number that the algorithm adapts from minibatch to minibatch; 0 if it has none."""
        return 0.0

    def before_epochs(
        self, networks: ActorCritic, theta: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """What is done with the whole rollout before it is cut into minibatches: by default nothing."""
        return theta, {}

    @abstractmethod
    def loss(
        self, out: Outputs, batch: Minibatch, multiplier: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scalar to minimise, and the multiplier of the next minibatch."""


def standardised(advantage: torch.Tensor) -> torch.Tensor:
    """Advantages with mean 0 and (unbiased) standard deviation 1 over the minibatch."""
    return (advantage - advantage.mean()) / (advantage.std() + 1e-8)
