"""Distributions over actions, as functions of what the actor's last layer says."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import ClassVar, Protocol

import numpy as np
import torch

from pgtheory.mdp import validate


class Head(Protocol):
    """What the training loop asks of a distribution over actions."""

    @property
    def outputs(self) -> int:
        """Width of the actor's last layer."""

    @property
    def parameters(self) -> int:
        """Parameters that no layer feeds."""

    @property
    def width(self) -> int:
        """Columns of an action in a table of floats."""

    def initial(self) -> np.ndarray:
        """The head's own parameters [parameters] to start from."""

    def log_prob(self, out: torch.Tensor, own: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [n] of actions [n, width] under outputs [n, outputs]."""

    def entropy(self, out: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Entropies [n], in nats."""

    def kl(
        self, old: torch.Tensor, own_old: torch.Tensor, new: torch.Tensor, own_new: torch.Tensor
    ) -> torch.Tensor:
        """Divergences KL(old ‖ new) [n], in nats."""

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """The randomness of a batch of actions of this shape."""

    def sample(self, out: np.ndarray, own: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Actions [n, width] as a function of the noise; the mode of the distribution without noise."""


@dataclass(frozen=True)
class Categorical:
    """Finitely many actions, the outputs are logits."""

    outputs: int
    parameters: ClassVar[int] = 0
    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
        validate.positive_integer("outputs", self.outputs)

    def initial(self) -> np.ndarray:
        """No parameters."""
        return np.zeros(0, np.float32)

    def log_prob(self, out: torch.Tensor, own: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [n] of actions [n, 1] under logits [n, outputs]."""
        return torch.log_softmax(out, -1).gather(-1, actions.long()).squeeze(-1)

    def entropy(self, out: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Entropies [n]."""
        log_p = torch.log_softmax(out, -1)
        return -(log_p.exp() * log_p).sum(-1)

    def kl(
        self, old: torch.Tensor, own_old: torch.Tensor, new: torch.Tensor, own_new: torch.Tensor
    ) -> torch.Tensor:
        """Divergences KL(old ‖ new) [n]."""
        log_old, log_new = torch.log_softmax(old, -1), torch.log_softmax(new, -1)
        return (log_old.exp() * (log_old - log_new)).sum(-1)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Uniform numbers [*shape]."""
        return rng.random(shape, np.float32)

    def sample(self, out: np.ndarray, own: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Actions [n, 1] by inversion of the distribution function."""
        if noise is None:
            return out.argmax(-1)[:, None]
        cumulative = np.exp(out - out.max(-1, keepdims=True)).cumsum(-1)
        return (noise[:, None] * cumulative[:, -1:] >= cumulative[:, :-1]).sum(-1, keepdims=True)


@dataclass(frozen=True)
class Gaussian:
    r"""Continuous actions :math:`a\sim\mathcal N(\text{out},\mathrm{diag}(\sigma^2))`, one :math:`\sigma` everywhere.

    Parameters
    ----------
    outputs : int
        Components of an action.
    log_std : float
        Initial :math:`\log\sigma` of every component.
    """

    outputs: int
    log_std: float = 0.0

    def __post_init__(self) -> None:
        validate.positive_integer("outputs", self.outputs)
        validate.finite("log_std", self.log_std)

    @property
    def parameters(self) -> int:
        """One log standard deviation for each component."""
        return self.outputs

    @property
    def width(self) -> int:
        """One column for each component."""
        return self.outputs

    def initial(self) -> np.ndarray:
        """Log standard deviations [outputs]."""
        return np.full(self.outputs, self.log_std, np.float32)

    def log_prob(self, out: torch.Tensor, own: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Log-densities [n] of actions [n, outputs] around means [n, outputs]."""
        z = (actions - out) * torch.exp(-own)
        return -0.5 * (z * z).sum(-1) - (own + 0.5 * log(2 * pi)).sum()

    def entropy(self, out: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        """Entropies [n], all the same."""
        return (own + 0.5 * (1 + log(2 * pi))).sum().expand(len(out))

    def kl(
        self, old: torch.Tensor, own_old: torch.Tensor, new: torch.Tensor, own_new: torch.Tensor
    ) -> torch.Tensor:
        """Divergences KL(old ‖ new) [n]."""
        spread = torch.exp(2 * (own_old - own_new)) + ((old - new) * torch.exp(-own_new)) ** 2
        return (own_new - own_old + 0.5 * (spread - 1)).sum(-1)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal numbers [*shape, outputs]."""
        return rng.standard_normal((*shape, self.outputs), np.float32)

    def sample(self, out: np.ndarray, own: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Actions [n, outputs]; the means without noise."""
        return out if noise is None else out + np.exp(own) * noise
