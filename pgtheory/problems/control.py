r"""A network policy on a Gymnasium environment, seen through sampled episodes.

The estimators are those of :mod:`pgtheory.problems.sampled`, by automatic differentiation. With
:math:`\Phi_i=\sum_t\Psi_t\log\pi_\theta(a_t|s_t)` for episode i, :math:`\Psi` held constant, and
:math:`c_i=u_i^\top v` the derivative of its log-probability along v, held constant too,

.. math::
   \bar g=\nabla\frac1n\sum_i\Phi_i,\qquad
   \bar Bv=\nabla\frac1n\sum_ic_i\Phi_i+\nabla\Big\langle\nabla\frac1n\sum_i\Phi_i,v\Big\rangle .

The product of the means of :math:`g_i` and :math:`u_i^\top v` would be biased.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from pgtheory.mdp import validate
from pgtheory.policies.networks import Network
from pgtheory.problems import likelihoods
from pgtheory.problems.episodes import Episodes, play
from pgtheory.problems.returns import reward_to_go
from pgtheory.problems.simulators import Maker, simulator
from pgtheory.problems.streams import Streams

EVALUATION_KEY = 0x5EED


class ControlProblem:
    r"""Maximise :math:`J_H(\theta)=\mathbb E\sum_{t<H}\gamma^tr_t` of a network policy; parameters are [seeds, dim].

    A seed whose parameters are not finite disturbs no other: its episodes hold no decisions and NaN rewards,
    and every estimate for it is NaN.

    Parameters
    ----------
    env : str or function
        A Gymnasium id, or a function that makes an environment.
    policy : Network
        Its inputs and outputs must fit the environment's observations (flattened) and actions.
    horizon : int
        H; episodes that the environment ends before are shorter.
    discount : float
        In [0, 1].
    env_options : mapping, optional
        Keywords for the environment.
    episodes : int
        How many ``value`` plays.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, or do not fit each other.
    gymnasium.error.Error
        For an id that Gymnasium does not know.
    """

    def __init__(
        self,
        env: Maker,
        policy: Network,
        *,
        horizon: int,
        discount: float,
        env_options: Mapping[str, Any] | None = None,
        episodes: int = 32,
    ) -> None:
        validate.instance_of("policy", policy, Network)
        self.horizon = validate.positive_integer("horizon", horizon)
        self.discount = validate.discount_factor(discount, self.horizon)
        self.episodes = validate.positive_integer("episodes", episodes)
        self.env, self.policy = env, policy
        self._world = simulator(env, env_options or {})
        _check_fit(policy, self._world.observation_space, self._world.action_space)

    def __repr__(self) -> str:
        return (
            f"ControlProblem({self.env!r}, {self.policy!r}, horizon={self.horizon}, discount={self.discount})"
        )

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return self.policy.dim

    # -- episodes -------------------------------------------------------------------------------------------

    def rollouts(self, theta: np.ndarray, rng: Streams, n: int = 1) -> Episodes:
        """n episodes for each seed, sampled at theta [seeds, dim]."""
        theta = self._rows("theta", theta, len(rng))
        return play(
            self.policy, self._world, theta, rng.keys(), validate.positive_integer("n", n), self.horizon
        )

    def value(self, theta: np.ndarray) -> np.ndarray:
        r"""Monte Carlo estimate of :math:`J_H` [seeds]: the mean over ``episodes`` episodes.

        A deterministic function of each row of theta: all rows are played with the same random numbers, which
        belong to no seed's stream.
        """
        theta = self._rows("theta", theta)
        keys = np.full(len(theta), EVALUATION_KEY, np.uint64)
        tau = play(self.policy, self._world, theta, keys, self.episodes, self.horizon)
        return (tau.rewards * self._discounts).sum(-1).mean(-1)

    # -- estimates ------------------------------------------------------------------------------------------

    def gradient(
        self, theta: np.ndarray, tau: Episodes, weights: np.ndarray | None = None, *, baseline: bool = False
    ) -> np.ndarray:
        r"""Mean of :math:`g(\tau_i,\theta)` over each seed's episodes [seeds, dim], scored at theta.

        Parameters
        ----------
        weights : array [seeds, n] or [seeds, n, H], optional
            Importance weights: of the whole episode, or per decision, multiplying the rewards.
        baseline : bool
            Subtract from :math:`\Psi_t` its mean over the seed's other episodes at the same t: it does not
            depend on the episode, so the mean stays :math:`\nabla J_H`. Needs two episodes.
        """
        theta = self._rows("theta", theta, len(tau.rewards))
        psi = reward_to_go(tau.rewards, self.discount, weights, baseline=baseline)
        mean = likelihoods.weighted_score(self.policy, theta, tau, psi / psi.shape[1])
        return _without_lost(mean, theta, tau)

    def hvp(self, theta: np.ndarray, tau: Episodes, v: np.ndarray) -> np.ndarray:
        r"""Mean of :math:`B(\tau_i,\theta)v` [seeds, dim] along v [seeds, dim], averaged episode by episode."""
        theta, v = (self._rows(name, x, len(tau.rewards)) for name, x in (("theta", theta), ("v", v)))
        psi = reward_to_go(tau.rewards, self.discount)
        mean = likelihoods.weighted_curvature(self.policy, theta, tau, psi / psi.shape[1], v)
        return _without_lost(mean, theta, tau)

    def log_ratio(
        self, theta: np.ndarray, behaviour: np.ndarray, tau: Episodes, *, per_decision: bool = False
    ) -> np.ndarray:
        r"""Log importance weights :math:`\log\prod_t\pi_\theta(a_t|s_t)/\pi_{\theta'}(a_t|s_t)` [seeds, n].

        :math:`\theta'` are the behaviour parameters. With ``per_decision`` the products up to each t, [seeds, n, H].
        """
        theta = self._rows("theta", theta, len(tau.rewards))
        behaviour = self._rows("behaviour", behaviour, len(tau.rewards))
        new, old = (likelihoods.log_probs(self.policy, x, tau) for x in (theta, behaviour))
        products = _without_lost(np.cumsum(new - old, axis=-1), theta, tau)
        return products if per_decision else products[..., -1]

    def score(self, theta: np.ndarray, tau: Episodes) -> np.ndarray:
        r"""Mean over each seed's episodes of :math:`u=\sum_t\nabla\log\pi_\theta(a_t|s_t)` [seeds, dim]."""
        theta = self._rows("theta", theta, len(tau.rewards))
        weights = np.full(tau.rewards.shape, 1 / tau.rewards.shape[1])
        return _without_lost(likelihoods.weighted_score(self.policy, theta, tau, weights), theta, tau)

    def fisher(self, theta: np.ndarray, tau: Episodes) -> np.ndarray:
        r"""Sampled Fisher matrix [seeds, dim, dim].

        Mean of :math:`\gamma^t\nabla\log\pi\nabla\log\pi^\top` over decisions, the discounts normalised to sum to one.
        """
        theta = self._rows("theta", theta, len(tau.rewards))
        weights = np.broadcast_to(self._discounts / self._discounts.sum(), tau.rewards.shape)
        out = np.empty((len(theta), self.dim, self.dim))
        for s, taken in enumerate(tau.taken):
            scores = likelihoods.scores(
                self.policy, theta[s], tau.observations[s][taken], tau.actions[s][taken]
            )
            out[s] = (weights[s][taken] * scores.T) @ scores / len(taken)
        return _without_lost(out, theta, tau)

    # -- inside ---------------------------------------------------------------------------------------------

    @property
    def _discounts(self) -> np.ndarray:
        return self.discount ** np.arange(self.horizon)

    def _rows(self, name: str, theta: np.ndarray, seeds: int | None = None) -> np.ndarray:
        theta = self.policy.check(theta, name)
        if theta.ndim != 2 or seeds not in (None, len(theta)):
            want = f"[{'any' if seeds is None else seeds}, {self.dim}]"
            raise ValueError(f"{name} must have shape [seeds, dim] = {want}, got {list(theta.shape)}")
        return theta


def _without_lost(estimate: np.ndarray, theta: np.ndarray, tau: Episodes) -> np.ndarray:
    """NaN for seeds whose parameters, or the episodes sampled for them, are not finite."""
    lost = ~np.isfinite(theta).all(-1) | ~np.isfinite(tau.rewards).all((-2, -1))
    return np.where(lost.reshape(-1, *[1] * (estimate.ndim - 1)), np.nan, estimate)


def _check_fit(policy: Network, observations: gymnasium.Space, actions: gymnasium.Space) -> None:
    """Refuse a policy whose inputs or outputs are not the environment's."""
    seen = spaces.flatdim(observations)
    if seen != policy.n_observations:
        raise ValueError(
            f"policy must have n_observations={seen} as the environment has, got {policy.n_observations}"
        )
    if policy.discrete:
        if not isinstance(actions, spaces.Discrete) or (actions.start, actions.n) != (0, policy.n_actions):
            raise ValueError(
                f"policy chooses among actions 0..{policy.n_actions - 1}, the environment wants {actions}"
            )
    elif not isinstance(actions, spaces.Box) or actions.shape != (policy.n_actions,):
        raise ValueError(
            f"policy chooses vectors of length {policy.n_actions}, the environment wants {actions}"
        )
