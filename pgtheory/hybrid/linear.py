r"""The finite-horizon method of arXiv:2311.08384 with a critic linear in :math:`x\otimes\mathrm{softmax}(a/\tau)`.

A least-squares critic and a Gaussian policy with a linear mean at every step, meant for observations that are the
latent state: everything in closed form, no line search, seconds for what networks need minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pgtheory.hybrid.lock import N_ACTIONS, ContinuousLock, Episodes
from pgtheory.hybrid.offline import Transitions
from pgtheory.hybrid.two_terms import Terms
from pgtheory.mdp import validate


class LinearState(NamedTuple):
    """Means [H, size, 10], log standard deviations [H, 10], and the critic's coefficients [H, size · 10]."""

    mean: np.ndarray
    log_std: np.ndarray
    critic: np.ndarray


@dataclass(frozen=True, kw_only=True)
class LinearHNPG(Terms):
    r"""Hybrid natural policy gradient with a linear critic at every step.

    The critic is refitted from scratch at each iteration by a backward sweep of normal equations with a ridge. The
    policy's step is :math:`w=(F+\text{damping}\,I)^{-1}g` with the empirical Fisher matrix of its scores, scaled to
    ``radius``.

    Parameters
    ----------
    ridge : float
    feature_temperature : float
        τ of the features.
    """

    ridge: float = 1e-3
    feature_temperature: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.positive("ridge", self.ridge)
        validate.positive("feature_temperature", self.feature_temperature)
        validate.positive("damping", self.damping)

    def init(self, lock: ContinuousLock, rng: np.random.Generator) -> LinearState:
        """Standard normal actions, a critic that is zero."""
        H, d = lock.horizon, lock.size
        return LinearState(
            np.zeros((H, d, N_ACTIONS)), np.zeros((H, N_ACTIONS)), np.zeros((H, d * N_ACTIONS))
        )

    def act(
        self, state: LinearState, h: int, observations: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Actions [n, 10] drawn at step h."""
        noise = rng.standard_normal((len(observations), N_ACTIONS))
        return observations @ state.mean[h] + np.exp(state.log_std[h]) * noise

    def update(
        self, state: LinearState, online: Episodes, offline: Transitions | None, rng: np.random.Generator
    ) -> tuple[LinearState, dict[str, float]]:
        """Evaluate backwards, then one natural step at every step of the horizon."""
        state = state._replace(critic=self.evaluate(state, online, offline, rng))
        x, a, weights = self.pairs(online, offline, lambda x: self.draw(state, x, rng))
        Q = self.values(state.critic, x, a)
        V = np.mean(
            [self.values(state.critic, x, self.draw(state, x, rng)) for _ in range(self.value_samples)],
            axis=0,
        )
        return self.improve(state, x, a, Q - V, weights), {"critic": float(np.abs(Q).max())}

    def evaluate(
        self, state: LinearState, online: Episodes, offline: Transitions | None, rng: np.random.Generator
    ) -> np.ndarray:
        r"""The critic's coefficients [H, K], from the last step to the first.

        At each step the minimum of :math:`\hat E_{off}(f-r-f_{h+1}(s',a'))^2+\lambda\hat E_{on}(f-y)^2` plus a ridge,
        with one :math:`a'\sim\pi_{h+1}` and *y* the return (or bootstrapped like the other, if asked).
        """
        H, K = state.critic.shape
        w = np.zeros((H, K))
        for h in range(H - 1, -1, -1):

            def ahead(x: np.ndarray, h: int = h) -> np.ndarray:
                return self.features(x, self.act(state, h + 1, x, rng)) @ w[h + 1]

            x, a, y, weights = self.regression(h, online, offline, ahead if h < H - 1 else None)
            psi = self.features(x, a)
            weighted = psi * weights[:, None]
            w[h] = np.linalg.solve(weighted.T @ psi + self.ridge * np.eye(K), weighted.T @ y)
        return w

    def improve(
        self, state: LinearState, x: np.ndarray, a: np.ndarray, advantage: np.ndarray, weights: np.ndarray
    ) -> LinearState:
        """The policy [H] after a natural step on pairs x [H, m, size], a [H, m, 10] with weights [m] that sum to 1."""
        H, d = state.mean.shape[:2]
        z = (a - np.einsum("hmd,hdk->hmk", x, state.mean)) / np.exp(state.log_std)[:, None]
        location = x[..., None] * (z / np.exp(state.log_std)[:, None])[:, :, None]
        scores = np.concatenate([location.reshape(*x.shape[:2], -1), z**2 - 1], axis=2)
        weighted = scores * weights[:, None]
        F = np.swapaxes(weighted, 1, 2) @ scores + self.damping * np.eye(scores.shape[2])
        g = np.einsum("hmp,hm->hp", weighted, advantage)
        w = np.linalg.solve(F, g[..., None])[..., 0]
        curvature = np.einsum("hp,hp->h", w, g)  # w^T F w
        size = np.divide(2 * self.radius, curvature, out=np.zeros(H), where=curvature > 0)
        step = np.sqrt(size)[:, None] * w
        mean = state.mean + step[:, : d * N_ACTIONS].reshape(H, d, N_ACTIONS)
        return state._replace(mean=mean, log_std=state.log_std + step[:, d * N_ACTIONS :])

    def draw(self, state: LinearState, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions [H, m, 10] at observations [H, m, size] of every step."""
        return x @ state.mean + np.exp(state.log_std)[:, None] * rng.standard_normal(
            (*x.shape[:2], N_ACTIONS)
        )

    def values(self, critic: np.ndarray, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Q [H, m] at x [H, m, size] and a [H, m, 10]."""
        table = critic.reshape(len(critic), -1, N_ACTIONS)
        return ((x @ table) * self._soft(a)).sum(-1)

    def features(self, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        """ψ [n, size · 10]."""
        return (x[:, :, None] * self._soft(a)[:, None]).reshape(len(x), -1)

    def _soft(self, a: np.ndarray) -> np.ndarray:
        e = np.exp((a - a.max(-1, keepdims=True)) / self.feature_temperature)
        return e / e.sum(-1, keepdims=True)
