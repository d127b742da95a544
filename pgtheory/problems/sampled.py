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
from pgtheory.problems.returns import reward_to_go, weighted
from pgtheory.problems.streams import Streams


class SampledProblem:
    r"""Maximise :math:`J_H(\theta)` from trajectories of length H; parameters are [seeds, dim].

    A seed whose parameters are not finite disturbs no other: its trajectories hold no decisions and NaN rewards,
    and every estimate for it is NaN.

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
        validate.instance_of("rng", rng, Streams)
        n = validate.positive_integer("n", n)
        theta = self._rows("theta", theta, len(rng))
        tau = self._sampler.sample(self._probabilities(theta), rng.keys(), n, self.horizon)
        if not np.isfinite(theta).all():
            lost = ~np.isfinite(theta).all(-1)
            for array, value in ((tau.states, 0), (tau.actions, 0), (tau.rewards, np.nan), (tau.lengths, 0)):
                array[lost] = value
        return tau

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
            Subtract from :math:`\Psi_t` its mean over the seed's other trajectories at the same t, times the
            decision's weight: it does not depend on the trajectory, so the mean stays :math:`\nabla J_H`. Needs two
            trajectories.
        """
        theta = self._rows("theta", theta, len(tau.states))
        if baseline:
            table = self._table(tau, reward_to_go(tau.rewards, self.mdp.discount, weights, baseline=True))
        else:
            table = self._reward_table(tau, weights)
        return _without_lost(self.policy.score_sum(self._probabilities(theta), table), theta, tau)

    def hvp(self, theta: np.ndarray, tau: Trajectories, v: np.ndarray) -> np.ndarray:
        r"""Mean of :math:`B(\tau_i,\theta)v` [seeds, dim] along v [seeds, dim], averaged trajectory by trajectory."""
        from pgtheory.mdp.sampling_kernels import curvature_tables_range

        theta, v = (self._rows(name, x, len(tau.states)) for name, x in (("theta", theta), ("v", v)))
        pi = self._probabilities(theta)
        ell = self.policy.directional(pi, v)
        with_score, plain = np.empty(pi.shape), np.empty(pi.shape)
        self._over(
            curvature_tables_range,
            tau,
            tau.states,
            tau.actions,
            tau.rewards,
            tau.lengths,
            self.mdp.discount,
            ell,
            with_score,
            plain,
        )
        product = self.policy.score_sum(pi, with_score) + self.policy.curvature_sum(pi, plain, v, ell)
        return _without_lost(product, theta, tau)

    def log_ratio(
        self, theta: np.ndarray, behaviour: np.ndarray, tau: Trajectories, *, per_decision: bool = False
    ) -> np.ndarray:
        r"""Log importance weights :math:`\log\prod_t\pi_\theta(a_t|s_t)/\pi_{\theta'}(a_t|s_t)` [seeds, n].

        :math:`\theta'` are the behaviour parameters. With ``per_decision`` the products up to each t, [seeds, n, H].
        """
        from pgtheory.mdp.sampling_kernels import running_sum_range

        theta = self._rows("theta", theta, len(tau.states))
        behaviour = self._rows("behaviour", behaviour, len(tau.states))
        new, old = (self.policy.log_probabilities(_finite(x)) for x in (theta, behaviour))
        change = np.subtract(new, old, out=np.zeros_like(new), where=self.policy.actions)
        out = np.empty(tau.rewards.shape)
        self._over(running_sum_range, tau, tau.states, tau.actions, tau.lengths, change, out)
        out = _without_lost(out, theta, tau)
        return out if per_decision else out[..., -1]

    def score(self, theta: np.ndarray, tau: Trajectories) -> np.ndarray:
        r"""Mean over each seed's trajectories of :math:`u=\sum_t\nabla\log\pi_\theta(a_t|s_t)` [seeds, dim]."""
        theta = self._rows("theta", theta, len(tau.states))
        table = self._table(tau, np.ones(tau.rewards.shape))
        return _without_lost(self.policy.score_sum(self._probabilities(theta), table), theta, tau)

    def fisher(self, theta: np.ndarray, tau: Trajectories) -> np.ndarray:
        r"""Sampled Fisher matrix [seeds, dim, dim].

        Mean over decisions of :math:`\gamma^t\,\mathbb E_{a\sim\pi}\nabla\log\pi\nabla\log\pi^\top`, with the
        expectation over actions in closed form and the discounts normalised to sum to one.
        """
        theta = self._rows("theta", theta, len(tau.states))
        discounts = np.broadcast_to(self._discounts / self._discounts.sum(), tau.rewards.shape)
        d = self._table(tau, discounts).sum(-1)
        return _without_lost(self.policy.fisher(self._probabilities(theta), d), theta, tau)

    # -- inside ---------------------------------------------------------------------------------------------

    def _rows(self, name: str, x: np.ndarray, seeds: int) -> np.ndarray:
        x = validate.numbers(name, x)
        if x.shape != (seeds, self.dim):
            raise ValueError(
                f"{name} must have shape [seeds, dim] = [{seeds}, {self.dim}], got {list(x.shape)}"
            )
        return x

    def _probabilities(self, theta: np.ndarray) -> np.ndarray:
        """The policies of theta; those of the last call are kept, since sampling and scoring ask for the same."""
        memo = self._memo  # read once: another thread may replace it
        if memo is not None and np.array_equal(memo[0], theta):
            return memo[1]
        pi = self.policy.probabilities(_finite(theta))
        pi.flags.writeable = False  # trajectories hold it too
        self._memo = np.array(theta), pi
        return pi

    @cached_property
    def _discounts(self) -> np.ndarray:
        return self.mdp.discount ** np.arange(self.horizon)

    def _reward_table(self, tau: Trajectories, weights: np.ndarray | None) -> np.ndarray:
        from pgtheory.mdp.sampling_kernels import reward_table_range

        rewards = tau.rewards if weights is None else weighted(tau.rewards, weights)
        out = np.empty((len(tau.states), self.mdp.n_states, self.mdp.n_actions))
        self._over(
            reward_table_range, tau, tau.states, tau.actions, rewards, tau.lengths, self.mdp.discount, out
        )
        return out

    def _table(self, tau: Trajectories, weights: np.ndarray) -> np.ndarray:
        from pgtheory.mdp.sampling_kernels import weight_table_range

        out = np.empty((len(tau.states), self.mdp.n_states, self.mdp.n_actions))
        self._over(weight_table_range, tau, tau.states, tau.actions, tau.lengths, weights, out)
        return out

    def _over(self, kernel: Any, tau: Trajectories, *arguments: Any) -> None:
        over_batch(kernel, len(tau.states), 4.0 * tau.rewards[0].size, *arguments)


def _finite(theta: np.ndarray) -> np.ndarray:
    """Zeros for seeds whose parameters are not finite."""
    finite = np.isfinite(theta)
    return theta if finite.all() else np.where(finite.all(-1, keepdims=True), theta, 0.0)


def _without_lost(estimate: np.ndarray, theta: np.ndarray, tau: Trajectories) -> np.ndarray:
    """NaN for seeds whose parameters, or those of their trajectories, are not finite."""
    finite, unsampled = np.isfinite(theta), np.isnan(tau.rewards[:, 0, 0])
    if finite.all() and not unsampled.any():
        return estimate
    lost = ~finite.all(-1) | unsampled
    return np.where(lost.reshape(-1, *[1] * (estimate.ndim - 1)), np.nan, estimate)
