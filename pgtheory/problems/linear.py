"""Linear systems under stochastic linear policies, as optimisation problems that are sampled."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.continuous.linear_system import LinearSystem
from pgtheory.mdp import validate
from pgtheory.problems.linear_exact import ExactLinearGaussian
from pgtheory.problems.location import LocationProblem

EVALUATION_KEY = 0x5EED
ROWS_AT_ONCE = 32  # evaluated together: more would only take memory


class LinearGaussianProblem(LocationProblem):
    r"""Maximise :math:`J_H` of :math:`a\sim\mathcal N(Ks,\Sigma)` from trajectories; exact quantities beside them.

    Parameters are [seeds, dim]: K flattened by rows, and :math:`\log\sigma` last where it is learned. A seed whose
    parameters are not finite disturbs no other: its trajectories and the estimates from them are NaN. Scores are
    unbounded, so the bounded-score assumption of arXiv:2302.01734 fails strictly.

    Parameters
    ----------
    system : LinearSystem
    sigma : float, optional
        Standard deviation of every action.
    covariance : array [k, k], optional
        :math:`\Sigma`, instead of ``sigma``.
    learn_std : bool
        Instead of both: :math:`\Sigma=\sigma^2I`, and :math:`\log\sigma` is a parameter.

    Attributes
    ----------
    exact : ExactLinearGaussian
        Closed forms.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it held and what was expected.
    """

    def __init__(
        self,
        system: LinearSystem,
        sigma: float | None = None,
        *,
        covariance: Any = None,
        learn_std: bool = False,
    ) -> None:
        self.exact = ExactLinearGaussian(system, sigma, covariance=covariance, learn_std=learn_std)
        fixed = self.exact.covariance
        super().__init__(system, "gaussian", None if fixed is None else np.linalg.cholesky(fixed))

    def __repr__(self) -> str:
        return f"LinearGaussianProblem({self.system!r}, dim={self.dim})"

    def value(self, theta: np.ndarray) -> np.ndarray:
        r"""Exact :math:`J_H` [seeds]."""
        return self.exact.value(theta)

    def exact_gradient(self, theta: np.ndarray) -> np.ndarray:
        r"""Exact :math:`\nabla J_H` [seeds, dim]."""
        return self.exact.gradient(theta)

    def exact_hvp(self, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        r"""Exact :math:`\nabla^2J_H\,v` [seeds, dim]."""
        return self.exact.hvp(theta, v)

    @property
    def optimum(self) -> float:
        r""":math:`J_H^*` over gains that do not change with time; where :math:`\sigma` is learned, as it vanishes."""
        return self.exact.optimum


class CauchyProblem(LocationProblem):
    r"""Maximise :math:`J_H` of :math:`a=K\phi(s)+\sigma\,\mathrm{Cauchy}` with bounded rewards and scores.

    A Cauchy action has no mean, so a quadratic cost would cost infinitely much: rewards are
    :math:`c^2/(c^2+s^\top Qs+a^\top Ra)\in(0,1]` instead. States it has moved have no mean either, so the
    policy sees their projection :math:`\phi(s)` onto a ball: scores and their derivatives are then bounded, as
    arXiv:2302.01734 assumes, by :math:`M_g=\sqrt k\,\text{bound}/\sigma` and :math:`M_h=2\,\text{bound}^2/\sigma^2`.

    Parameters are [seeds, dim]: K flattened by rows. A seed whose parameters are not finite disturbs no other: its
    trajectories and the estimates from them are NaN.

    Parameters
    ----------
    system : LinearSystem
    sigma : float
        Scale of every action's noise.
    c : float
        Where rewards saturate.
    bound : float
        Radius of the ball.
    episodes : int
        How many ``value`` plays for each parameter vector.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it held and what was expected.
    """

    def __init__(
        self, system: LinearSystem, sigma: float, *, c: float = 1.0, bound: float = 1.0, episodes: int = 1000
    ) -> None:
        validate.instance_of("system", system, LinearSystem)
        self.sigma, self.c = validate.positive("sigma", sigma), validate.positive("c", c)
        self.bound = validate.positive("bound", bound)
        self.episodes = validate.positive_integer("episodes", episodes)
        factor = self.sigma * np.eye(system.action_dim)
        super().__init__(system, "cauchy", factor, saturation=self.c, bound=self.bound)

    def __repr__(self) -> str:
        return f"CauchyProblem({self.system!r}, {self.sigma:g}, c={self.c:g}, bound={self.bound:g})"

    def value(self, theta: np.ndarray) -> np.ndarray:
        r"""Monte Carlo estimate of :math:`J_H` [seeds], the mean over ``episodes`` episodes.

        Its standard error is at most :math:`\sum_{t<H}\gamma^t/(2\sqrt{\text{episodes}})`. A deterministic function
        of each row of theta: all rows are played with the same random numbers, which belong to no seed's stream.
        """
        theta = self._per_seed("theta", theta, len(theta))
        discounts = self.system.discount ** np.arange(self.horizon)
        J = np.empty(len(theta))
        for first in range(0, len(theta), ROWS_AT_ONCE):
            rows = slice(first, first + ROWS_AT_ONCE)
            keys = np.full(len(theta[rows]), EVALUATION_KEY, np.uint64)
            tau = self._sample(theta[rows], keys, self.episodes)
            J[rows] = (tau.rewards * discounts).sum(-1).mean(-1)
        return J
