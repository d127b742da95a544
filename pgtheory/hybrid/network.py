r"""The finite-horizon method with networks, in the official code's settings (arXiv:2311.08384, Algorithms 4–5).

A policy and a critic for every step. Critics are fitted one after the other, backwards, since each is the next one's
target; everything else happens at all steps at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from pgtheory.deep.heads import Gaussian
from pgtheory.hybrid.blockwise import natural_steps
from pgtheory.hybrid.lock import N_ACTIONS, ContinuousLock, Episodes
from pgtheory.hybrid.mlp_critic import MLPCritic, initial_layers
from pgtheory.hybrid.offline import Transitions
from pgtheory.hybrid.two_terms import Terms
from pgtheory.mdp import validate
from pgtheory.policies.networks import GaussianNetwork


class NetworkState(NamedTuple):
    """The networks, and the parameters of policies [H, dim] and critics [H, dim]."""

    policy: GaussianNetwork
    critic: MLPCritic
    theta: np.ndarray
    omega: np.ndarray


@dataclass(frozen=True, kw_only=True)
class NetworkHNPG(Terms):
    r"""Hybrid natural policy gradient with a network of each kind at every step; the defaults are the official code's.

    Parameters
    ----------
    policy_hidden, critic_hidden : tuple of int
        Widths of tanh layers.
    critic_steps, learning_rate : int, float
        Full-batch steps of a new Adam on each critic an iteration.
    warm_start : bool
        Go on from the critics of the iteration before.
    gae : float
        τ of the online advantages; offline ones are Q − V.
    cg_iterations, backtracks : int
    search_kl : bool
        Let the line search test the divergence too; the official one tests the surrogate only.
    """

    policy_hidden: tuple[int, ...] = (16, 16)
    critic_hidden: tuple[int, ...] = (64, 64)
    critic_steps: int = 30
    learning_rate: float = 3e-4
    warm_start: bool = True
    gae: float = 0.97
    cg_iterations: int = 10
    backtracks: int = 9
    search_kl: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("critic_steps", "cg_iterations"):
            validate.positive_integer(name, getattr(self, name))
        validate.positive_integer("backtracks", self.backtracks, 0)
        validate.positive("learning_rate", self.learning_rate)
        validate.probability("gae", self.gae)
        validate.flag("warm_start", self.warm_start)
        validate.flag("search_kl", self.search_kl)

    def init(self, lock: ContinuousLock, rng: np.random.Generator) -> NetworkState:
        """Small random networks, standard deviation 1."""
        policy = GaussianNetwork(lock.size, N_ACTIONS, hidden=self.policy_hidden)
        critic = MLPCritic(lock.size + N_ACTIONS, self.critic_hidden)
        layers = initial_layers(
            list(pairwise((lock.size, *self.policy_hidden, N_ACTIONS))), lock.horizon, rng
        )
        theta = np.concatenate([layers, np.zeros((lock.horizon, N_ACTIONS))], axis=1)
        return NetworkState(policy, critic, theta, critic.initial(lock.horizon, rng))

    def act(
        self, state: NetworkState, h: int, observations: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Actions [n, 10] drawn at step h."""
        noise = rng.standard_normal((len(observations), N_ACTIONS))
        return state.policy.sample(state.theta[h], observations, noise)

    def update(
        self, state: NetworkState, online: Episodes, offline: Transitions | None, rng: np.random.Generator
    ) -> tuple[NetworkState, dict[str, float]]:
        """Evaluate backwards, then one trust-region step of every policy."""
        omega, losses = self.evaluate(state, online, offline, rng)
        state = state._replace(omega=omega)
        x, a, weights = self.pairs(online, offline, lambda x: self._draw(state, x, rng))
        Q, V = state.critic.values(omega, x, a), self._state_values(state, x, rng)
        n = online.actions.shape[1]
        advantage = Q - V
        advantage[:, :n] = self._gae(online.rewards, V[:, :n])
        theta, accepted = self._improve(state, x, a, advantage, weights)
        size = np.abs(Q).max()
        metrics = {"critic": float(size), "loss": float(losses.mean()), "accepted": float(accepted.mean())}
        return state._replace(theta=theta), metrics

    def evaluate(
        self, state: NetworkState, online: Episodes, offline: Transitions | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The critics [H, dim] after a backward sweep of ``regression``, and the losses [H] they ended with."""
        H = len(online.rewards)
        omega = state.omega.copy() if self.warm_start else state.critic.initial(H, rng)
        losses = np.empty(H)
        for h in range(H - 1, -1, -1):

            def ahead(x: np.ndarray, h: int = h) -> np.ndarray:
                return state.critic.values(omega[h + 1], x, self.act(state, h + 1, x, rng))

            x, a, y, weights = self.regression(h, online, offline, ahead if h < H - 1 else None)
            losses[h] = state.critic.fit(
                omega[h],
                np.concatenate([x, a], axis=1),
                y,
                weights,
                steps=self.critic_steps,
                learning_rate=self.learning_rate,
            )
        return omega, losses

    def _improve(
        self, state: NetworkState, x: np.ndarray, a: np.ndarray, advantage: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Policies [H, dim] after a step on pairs x [H, m, size], a [H, m, 10] with weights [m]; which moved [H]."""
        policy, head = state.policy, Gaussian(N_ACTIONS)
        theta, seen, taken, weighted = map(torch.as_tensor, (state.theta, x, a, weights * advantage))
        share = torch.as_tensor(weights)
        old, old_mean, own = (
            policy.log_prob(theta, seen, taken),
            policy.outputs(theta, seen),
            self._own(theta),
        )

        def surrogate(theta: torch.Tensor) -> torch.Tensor:
            return -(weighted * torch.exp(policy.log_prob(theta, seen, taken) - old)).sum(1)

        def kl(theta: torch.Tensor) -> torch.Tensor:
            return (share * head.kl(old_mean, own, policy.outputs(theta, seen), self._own(theta))).sum(1)

        steps = natural_steps(
            surrogate,
            kl,
            theta,
            radius=self.radius,
            damping=self.damping,
            cg_iterations=self.cg_iterations,
            backtracks=self.backtracks,
            search_kl=self.search_kl,
        )
        return steps.theta.numpy(), steps.accepted.numpy()

    def _own(self, theta: torch.Tensor) -> torch.Tensor:
        """Log standard deviations [H, 1, 10], a policy's last parameters."""
        return theta[:, None, -N_ACTIONS:]

    def _draw(self, state: NetworkState, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions [H, m, 10] at observations [H, m, size] of every step."""
        return state.policy.sample(state.theta, x, rng.standard_normal((*x.shape[:2], N_ACTIONS)))

    def _state_values(self, state: NetworkState, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """V [H, m], the mean of Q over actions drawn at x [H, m, size]."""
        total = np.zeros(x.shape[:2])
        for _ in range(self.value_samples):
            total += state.critic.values(state.omega, x, self._draw(state, x, rng))
        return total / self.value_samples

    def _gae(self, rewards: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Generalised advantages [H, n] of whole episodes, undiscounted."""
        error = rewards - V
        error[:-1] += V[1:]
        for h in range(len(error) - 2, -1, -1):
            error[h] += self.gae * error[h + 1]
        return error
