"""HAPG: SPIDER with Hessian corrections."""

from dataclasses import dataclass

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.protocol import Problem, State, direction, start
from pgtheory.methods.schedules import Schedule, constant
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class HAPG:
    r"""Hessian-aided policy gradient (Shen et al., ICML 2019).

    Every m steps :math:`d=\bar g_N(\theta)`; in between
    :math:`d_t=d_{t-1}+\frac1B\sum_iB(\hat\tau_i,\hat\theta)(\theta_t-\theta_{t-1})` with
    :math:`\hat\theta` uniform on the segment between the last iterates (one point a seed, shared by its batch; in
    the paper one a trajectory). Normalised steps, no importance weights.

    Parameters
    ----------
    gamma : Schedule
        Length of the step.
    m, N, batch : int
        Steps between restarts, trajectories of a restart, trajectories of a correction.
    """

    gamma: Schedule = constant(0.05)
    m: int = 10
    N: int = 50
    batch: int = 5

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, previous, d, t = state
        if t % self.m == 0:
            d = problem.gradient(theta, problem.rollouts(theta, rng, self.N))
        else:
            q = rng.uniform()[:, None]
            theta_hat = q * theta + (1 - q) * previous
            tau_hat = problem.rollouts(theta_hat, rng, self.batch)
            d = d + problem.hvp(theta_hat, tau_hat, theta - previous)
        return State(theta + self.gamma(t) * direction(d), theta, d, t + 1)
