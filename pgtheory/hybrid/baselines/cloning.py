"""Behaviour cloning: the Gaussian policy that makes the offline actions most likely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pgtheory.hybrid.lock import N_ACTIONS, ContinuousLock
from pgtheory.hybrid.offline import OfflineData
from pgtheory.mdp import validate
from pgtheory.policies.networks import GaussianNetwork


@dataclass(frozen=True, kw_only=True)
class Cloning:
    """Adam on the mean log-likelihood, a network at every step of the horizon.

    Parameters
    ----------
    hidden : tuple of int
        Widths of tanh layers; those of the hybrid method's policy.
    updates, batch, learning_rate : int, int, float
        Steps of Adam, transitions of each step of the horizon in one, step size.
    """

    hidden: tuple[int, ...] = (16, 16)
    updates: int = 2000
    batch: int = 256
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        for name in ("updates", "batch"):
            validate.positive_integer(name, getattr(self, name))
        validate.positive("learning_rate", self.learning_rate)

    def fit(self, lock: ContinuousLock, data: OfflineData, rng: np.random.Generator) -> np.ndarray:
        """Parameters [H, dim] of the policies of ``network``."""
        data.check(lock)
        policy = self.network(lock)
        start = policy.initial(rng.integers(2**31, size=lock.horizon).tolist())
        theta = torch.tensor(start, requires_grad=True)
        adam = torch.optim.Adam([theta], lr=self.learning_rate)
        for _ in range(self.updates):
            batch = data.sample(self.batch, rng)
            loss = -policy.log_prob(theta, batch.observations, batch.actions).mean(1).sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
        return theta.detach().numpy()

    def network(self, lock: ContinuousLock) -> GaussianNetwork:
        """The policy of each step."""
        return GaussianNetwork(lock.size, N_ACTIONS, hidden=self.hidden)

    def success(
        self, lock: ContinuousLock, theta: np.ndarray, episodes: int, rng: np.random.Generator, *, noisy: bool
    ) -> float:
        """Success rate of the policies theta [H, dim], drawing their actions or (not ``noisy``) playing their means."""
        policy = self.network(lock)

        def act(h: int, observations: np.ndarray) -> np.ndarray:
            noise = noisy * rng.standard_normal((len(observations), N_ACTIONS))
            return policy.sample(theta[h], observations, noise)

        return lock.play(act, episodes, rng).success
