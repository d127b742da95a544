r"""A softmax policy on a finite MDP, seen through sampled trajectories (and exactly, beside it).

With reward-to-go :math:`\Psi_t=\sum_{h\ge t}^{H-1}\gamma^hr_h` (discounted from time 0) and
:math:`u=\sum_t\nabla\log\pi_\theta(a_t|s_t)`, the estimators of arXiv:2302.01734 are

.. math::
   g(\tau,\theta)=\sum_t\Psi_t\nabla\log\pi_\theta(a_t|s_t),\qquad
   B(\tau,\theta)v=g\,(u^\top v)+\sum_t\Psi_t\nabla^2\log\pi_\theta(a_t|s_t)v,

unbiased for :math:`\nabla J_H` and :math:`\nabla^2J_H\,v` when :math:`\tau\sim\theta`. Every sum over a trajectory
is first collected in a table over state–action pairs, compiled, and then handed to the policy class.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.sampling import Sampler, Trajectories
from pgtheory.mdp.threads import over_batch
from pgtheory.policies.softmax import LinearSoftmax
from pgtheory.problems.exact import ExactProblem
from pgtheory.problems.streams import Streams


class SampledProblem:
    r"""Maximise :math:`J_H(\theta)` from trajectories of length H; parameters are [seeds, dim].

    Parameters
    ----------
    mdp : FiniteMDP
    policy : LinearSoftmax, optional
        Tabular softmax by default.
    horizon : int, optional
        H; the MDP's own by default. One of the two is needed.
    """

    def __init__(
        self, mdp: FiniteMDP, policy: LinearSoftmax | None = None, *, horizon: int | None = None
    ) -> None:
        self.exact = ExactProblem(mdp, policy, horizon=horizon)
        if self.exact.horizon is None:
            raise ValueError("horizon must be given: sampled trajectories are finite, got None")
        self.horizon: int = self.exact.horizon
        self.mdp, self.policy = mdp, self.exact.policy
        self._sampler = Sampler(mdp)
        self._memo: tuple[np.ndarray, np.ndarray] | None = None

    def __repr__(self) -> str:
        return f"SampledProblem({self.mdp!r}, {self.policy!r}, horizon={self.horizon})"

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return self.policy.dim

    # -- exact beside the sampled -------------------------------------------------------------------------

    def value(self, theta: np.ndarray) -> np.ndarray:
        r"""Exact :math:`J_H` [seeds]."""
        return self.exact.value(theta)

    def exact_gradient(self, theta: np.ndarray) -> np.ndarray:
        r"""Exact :math:`\nabla J_H` [seeds, dim]."""
        return self.exact.gradient(theta)

    @cached_property
    def optimum(self) -> float:
        r""":math:`J_H^*` over all policies, time-dependent ones included."""
        return self.exact.optimum

    # -- sampled --------------------------------------------------------------------------------------------

    def rollouts(self, theta: np.ndarray, rng: Streams, n: int = 1) -> Trajectories:
        """n trajectories for each seed, sampled at theta [seeds, dim]."""
        theta = self.policy.check(theta)
        if theta.ndim != 2 or len(theta) != len(rng):
            raise ValueError(
                f"theta must have shape [seeds, dim] = [{len(rng)}, {self.dim}], got {list(theta.shape)}"
            )
        pi = self._probabilities(theta)
        return self._sampler.sample(pi, rng.keys(), validate.positive_integer("n", n), self.horizon)

    def gradient(
        self,
        theta: np.ndarray,
        tau: Trajectories,
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
        pi = self._probabilities(theta)
        rewards = tau.rewards if weights is None else _weighted(tau.rewards, weights)
        if baseline:
            return self.policy.score_sum(pi, self._table(tau, _leave_one_out(self._psi(rewards))))
        from pgtheory.mdp.sampling_kernels import reward_table_range

        table = np.empty(pi.shape)
        self._over(
            reward_table_range, tau, tau.states, tau.actions, rewards, tau.lengths, self.mdp.discount, table
        )
        return self.policy.score_sum(pi, table)

    def hvp(self, theta: np.ndarray, tau: Trajectories, v: np.ndarray) -> np.ndarray:
        r"""Mean of :math:`B(\tau_i,\theta)v` [seeds, dim] along v [seeds, dim], averaged trajectory by trajectory."""
        from pgtheory.mdp.sampling_kernels import curvature_tables_range

        pi = self._probabilities(theta)
        with_score, plain = np.empty(pi.shape), np.empty(pi.shape)
        self._over(
            curvature_tables_range,
            tau,
            tau.states,
            tau.actions,
            tau.rewards,
            tau.lengths,
            self.mdp.discount,
            self.policy.directional(pi, v),
            with_score,
            plain,
        )
        return self.policy.score_sum(pi, with_score) + self.policy.curvature_sum(pi, plain, v)

    def log_ratio(
        self, theta: np.ndarray, behaviour: np.ndarray, tau: Trajectories, *, per_decision: bool = False
    ) -> np.ndarray:
        r"""Log importance weights :math:`\log\prod_t\pi_\theta(a_t|s_t)/\pi_{\theta'}(a_t|s_t)` [seeds, n].

        :math:`\theta'` are the behaviour parameters. With ``per_decision`` the products up to each t, [seeds, n, H].
        """
        from pgtheory.mdp.sampling_kernels import running_sum_range

        permitted = self.policy.actions
        new, old = (np.where(permitted, self.policy.log_probabilities(x), 0.0) for x in (theta, behaviour))
        out = np.empty(tau.rewards.shape)
        self._over(running_sum_range, tau, tau.states, tau.actions, tau.lengths, new - old, out)
        return out if per_decision else out[..., -1]

    def score(self, theta: np.ndarray, tau: Trajectories) -> np.ndarray:
        r"""Mean over each seed's trajectories of :math:`u=\sum_t\nabla\log\pi_\theta(a_t|s_t)` [seeds, dim]."""
        pi = self._probabilities(theta)
        return self.policy.score_sum(pi, self._table(tau, np.ones(tau.rewards.shape)))

    def fisher(self, theta: np.ndarray, tau: Trajectories) -> np.ndarray:
        r"""Sampled Fisher matrix [seeds, dim, dim].

        Mean of :math:`\gamma^t\nabla\log\pi\nabla\log\pi^\top` over decisions, with the discounts normalised to sum to one.
        """
        pi = self._probabilities(theta)
        discounts = np.broadcast_to(self._discounts / self._discounts.sum(), tau.rewards.shape)
        d = self._table(tau, discounts).sum(-1)
        return self.policy.fisher(pi, d)

    # -- inside ---------------------------------------------------------------------------------------------

    def _probabilities(self, theta: np.ndarray) -> np.ndarray:
        """The policies of theta; those of the last call are kept, since sampling and scoring ask for the same."""
        if self._memo is not None and np.array_equal(self._memo[0], theta):
            return self._memo[1]
        pi = self.policy.probabilities(theta)
        self._memo = np.array(theta), pi
        return pi

    @cached_property
    def _discounts(self) -> np.ndarray:
        return self.mdp.discount ** np.arange(self.horizon)

    def _psi(self, rewards: np.ndarray) -> np.ndarray:
        return np.cumsum((rewards * self._discounts)[..., ::-1], axis=-1)[..., ::-1]

    def _table(self, tau: Trajectories, weights: np.ndarray) -> np.ndarray:
        from pgtheory.mdp.sampling_kernels import weight_table_range

        out = np.empty((len(tau.states), self.mdp.n_states, self.mdp.n_actions))
        self._over(weight_table_range, tau, tau.states, tau.actions, tau.lengths, weights, out)
        return out

    def _over(self, kernel: Any, tau: Trajectories, *arguments: Any) -> None:
        over_batch(kernel, len(tau.states), 4.0 * tau.rewards[0].size, *arguments)


def _weighted(rewards: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if weights.shape not in (rewards.shape, rewards.shape[:2]):
        raise ValueError(
            f"weights must be [seeds, n] or [seeds, n, H] = {list(rewards.shape)}, got {list(weights.shape)}"
        )
    return rewards * (weights if weights.ndim == 3 else weights[..., None])


def _leave_one_out(psi: np.ndarray) -> np.ndarray:
    n = psi.shape[1]
    if n < 2:
        raise ValueError(
            "baseline needs at least two trajectories a seed, got 1: it is the mean of the others"
        )
    return psi - (psi.sum(axis=1, keepdims=True) - psi) / (n - 1)
