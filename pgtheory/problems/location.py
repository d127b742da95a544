r"""Location policies on linear systems, seen through sampled trajectories.

The policy is :math:`a=K\phi(s)+L\varepsilon` with Gaussian or Cauchy noise. Parameters are K flattened by rows and,
where the scale is learned, :math:`\rho=\log\sigma` last, with :math:`L=e^\rho I`. Estimators are those of
arXiv:2302.01734 (see ``sampled``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pgtheory.continuous.linear_system import LinearSystem
from pgtheory.continuous.lqr import QUIET
from pgtheory.mdp import validate
from pgtheory.mdp.threads import over_batch
from pgtheory.problems.returns import reward_to_go
from pgtheory.problems.streams import Streams

# E psi^2 and Var(psi z): Fisher information of a unit-scale density about its location and about its log-scale
INFORMATION = {"gaussian": (1.0, 2.0), "cauchy": (0.5, 0.5)}


@dataclass(frozen=True, eq=False)
class LinearTrajectories:
    """n trajectories for each seed.

    Attributes
    ----------
    states : array [seeds, n, H, state_dim]
    features : array [seeds, n, H, state_dim]
        What the policy saw of them.
    actions : array [seeds, n, H, action_dim]
    rewards : array [seeds, n, H]
    lengths : int32 array [seeds, n]
        Decisions taken: always H.
    """

    states: np.ndarray
    features: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray


class LocationProblem:
    r"""Maximise :math:`J_H` of a location policy on a linear system from its trajectories.

    Parameters are [seeds, dim]. A seed whose parameters are not finite disturbs no other: its trajectories and the
    estimates from them are NaN.

    Parameters
    ----------
    system : LinearSystem
    noise : {"gaussian", "cauchy"}
        Density of :math:`\varepsilon_j`.
    factor : array [k, k] or None
        The fixed scale L, invertible; where None it is learned.
    saturation : float
        c: rewards are :math:`c^2/(c^2+\text{cost})\in(0,1]`; minus the cost where infinite.
    bound : float
        The policy sees states projected onto the ball of this radius.
    """

    def __init__(
        self,
        system: LinearSystem,
        noise: Literal["gaussian", "cauchy"],
        factor: np.ndarray | None,
        *,
        saturation: float = np.inf,
        bound: float = np.inf,
    ) -> None:
        self.system, self.horizon, self.noise = system, system.horizon, noise
        self._factors = None if factor is None else {1: factor, -1: np.linalg.inv(factor)}
        self._saturation, self._bound = saturation, bound
        moments = (system.noise, system.start_covariance)
        self._noise, self._spread = (square_root(moment) for moment in moments)

    @property
    def learn_std(self) -> bool:
        """Whether the last parameter is the log-scale."""
        return self._factors is None

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return self.system.state_dim * self.system.action_dim + self.learn_std

    # -- sampling -------------------------------------------------------------------------------------------

    def rollouts(self, theta: np.ndarray, rng: Streams, n: int = 1) -> LinearTrajectories:
        """n trajectories for each seed, sampled at theta [seeds, dim]."""
        theta = self._per_seed("theta", theta, len(rng))
        return self._sample(theta, rng.keys(), validate.positive_integer("n", n))

    def _sample(self, theta: np.ndarray, keys: np.ndarray, n: int) -> LinearTrajectories:
        from pgtheory.problems.linear_kernels import sample_range

        system, heavy, shape = self.system, self.noise == "cauchy", (len(theta), n, self.horizon)
        states, actions = np.empty((*shape, system.state_dim)), np.empty((*shape, system.action_dim))
        features = states if self._bound == np.inf else np.empty_like(states)
        rewards, lengths = np.empty(shape), np.full(shape[:2], self.horizon, np.int32)
        model = (system.A, system.B, system.Q, system.R, self._noise, system.start_mean, self._spread)
        policy = (self._gains(theta), self._scales(theta), heavy, self._bound)
        out = (states, features, actions, rewards)
        self._over(sample_range, rewards, keys, *policy, *model, self._saturation, *out)
        return LinearTrajectories(states, features, actions, rewards, lengths)

    # -- estimators -----------------------------------------------------------------------------------------

    @QUIET
    def gradient(
        self,
        theta: np.ndarray,
        tau: LinearTrajectories,
        weights: np.ndarray | None = None,
        *,
        baseline: bool = False,
    ) -> np.ndarray:
        r"""Mean of :math:`g(\tau_i,\theta)` over each seed's trajectories [seeds, dim], scored at theta.

        Parameters
        ----------
        weights : array [seeds, n] or [seeds, n, H], optional
            Importance weights: of the whole trajectory, or per decision, multiplying the rewards.
        baseline : bool
            Subtract from :math:`\Psi_t` its mean over the seed's other trajectories at the same t: it does
            not depend on the trajectory, so the mean stays :math:`\nabla J_H`. Needs two trajectories.
        """
        from pgtheory.problems.linear_kernels import score_sum_range

        psi = reward_to_go(tau.rewards, self.system.discount, weights, baseline=baseline)
        return self._sum(score_sum_range, theta, tau, psi)

    @QUIET
    def hvp(self, theta: np.ndarray, tau: LinearTrajectories, v: np.ndarray) -> np.ndarray:
        r"""Mean of :math:`B(\tau_i,\theta)v` [seeds, dim] along v [seeds, dim], averaged trajectory by trajectory."""
        from pgtheory.problems.linear_kernels import curvature_range

        v = self._per_seed("v", v, len(tau.rewards))
        psi = reward_to_go(tau.rewards, self.system.discount)
        return self._sum(curvature_range, theta, tau, psi, v)

    def log_ratio(
        self,
        theta: np.ndarray,
        behaviour: np.ndarray,
        tau: LinearTrajectories,
        *,
        per_decision: bool = False,
    ) -> np.ndarray:
        r""":math:`\log\prod_t\pi_\theta(a_t|s_t)/\pi_{\theta'}(a_t|s_t)` [seeds, n], :math:`\theta'` the behaviour.

        With ``per_decision`` the products up to each t, [seeds, n, H].
        """
        from pgtheory.problems.linear_kernels import running_log_ratio_range

        theta = self._per_seed("theta", theta, len(tau.rewards))
        behaviour = self._per_seed("behaviour", behaviour, len(tau.rewards))
        policies = [x for p in (theta, behaviour) for x in (self._gains(p), self._scales(p, -1))]
        out, heavy = np.empty(tau.rewards.shape), self.noise == "cauchy"
        self._over(running_log_ratio_range, out, *policies, heavy, tau.features, tau.actions, out)
        return out if per_decision else out[..., -1]

    def score(self, theta: np.ndarray, tau: LinearTrajectories) -> np.ndarray:
        r"""Mean over each seed's trajectories of :math:`u=\sum_t\nabla\log\pi_\theta(a_t|s_t)` [seeds, dim]."""
        from pgtheory.problems.linear_kernels import score_sum_range

        return self._sum(score_sum_range, theta, tau, np.ones(tau.rewards.shape))

    @QUIET
    def fisher(self, theta: np.ndarray, tau: LinearTrajectories) -> np.ndarray:
        r"""Fisher matrix [seeds, dim, dim] in sampled states, weights :math:`\gamma^t` normalised; exact in actions."""
        theta = self._per_seed("theta", theta, len(tau.rewards))
        weights = self.system.discount ** np.arange(self.horizon)
        discounted = tau.features * np.sqrt(weights / (weights.sum() * tau.rewards.shape[1]))[:, None]
        rows = discounted.reshape(len(theta), -1, self.system.state_dim)
        moment = rows.swapaxes(1, 2) @ rows
        return self._fisher(theta, moment)

    # -- inside ---------------------------------------------------------------------------------------------

    def _fisher(self, theta: np.ndarray, moment: np.ndarray) -> np.ndarray:
        """The matrix [seeds, dim, dim] where features have these discounted second moments [seeds, d, d]."""
        W = self._scales(theta, -1)
        location, scale = INFORMATION[self.noise]
        F = np.zeros((len(theta), self.dim, self.dim))
        gains = self.dim - self.learn_std
        precision = W.swapaxes(1, 2) @ W
        blocks = location * np.einsum("bij,bmn->bimjn", precision, moment)
        F[:, :gains, :gains] = blocks.reshape(-1, gains, gains)
        F[:, gains:, gains:] = scale * self.system.action_dim
        return F

    def _gains(self, theta: np.ndarray) -> np.ndarray:
        k, d = self.system.action_dim, self.system.state_dim
        return np.ascontiguousarray(theta[:, : k * d]).reshape(len(theta), k, d)

    @QUIET
    def _scales(self, theta: np.ndarray, power: int = 1) -> np.ndarray:
        """L or, for power -1, its inverse [seeds, k, k]."""
        k = self.system.action_dim
        if self._factors is not None:
            return np.ascontiguousarray(np.broadcast_to(self._factors[power], (len(theta), k, k)))
        return np.exp(power * theta[:, -1])[:, None, None] * np.eye(k)

    def _sum(self, kernel: Any, theta: np.ndarray, tau: LinearTrajectories, *weights: Any) -> np.ndarray:
        theta = self._per_seed("theta", theta, len(tau.rewards))
        out = np.empty(theta.shape)
        policy = (self._gains(theta), self._scales(theta, -1), self.noise == "cauchy", self.learn_std)
        self._over(kernel, tau.rewards, *policy, tau.features, tau.actions, *weights, out)
        return out

    def _per_seed(self, name: str, value: np.ndarray, seeds: int) -> np.ndarray:
        value = validate.numbers(name, value)
        if value.shape != (seeds, self.dim):
            want = [seeds, self.dim]
            raise ValueError(f"{name} must have shape [seeds, dim] = {want}, got {list(value.shape)}")
        return np.ascontiguousarray(value, dtype=float)

    def _over(self, kernel: Any, like: np.ndarray, *arguments: Any) -> None:
        over_batch(kernel, len(like), 30.0 * like[0].size * self.system.state_dim, *arguments)


def square_root(covariance: np.ndarray) -> np.ndarray:
    """A factor F [d, rank] with F F^T = covariance [d, d]: what there is no noise in costs no random number."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-14 * values.max()
    return np.ascontiguousarray(vectors[:, kept] * np.sqrt(values[kept]))
