"""SRVR-PG: recursive variance reduction."""

from dataclasses import dataclass

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.importance import weighted_gradient
from pgtheory.methods.protocol import Problem, State, start
from pgtheory.methods.schedules import Schedule, constant
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class SRVRPG:
    r"""Stochastic recursive variance-reduced policy gradient (arXiv:1909.08610).

    Every m steps :math:`d=\bar g_N(\theta)`; in between, with :math:`\tau_i\sim\theta_t`,

    .. math::
       d_t=d_{t-1}+\bar g_B(\theta_t)-\tfrac1B\textstyle\sum_iw(\tau_i|\theta_{t-1},\theta_t)\,g(\tau_i,\theta_{t-1}).

    Parameters
    ----------
    gamma : Schedule
    m, N, batch : int
        Steps between restarts, trajectories of a restart, trajectories in between.
    per_decision : bool
        Importance weights per decision instead of per trajectory.
    """

    gamma: Schedule = constant(0.01)
    m: int = 10
    N: int = 50
    batch: int = 5
    per_decision: bool = False

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, previous, d, t = state
        if t % self.m == 0:
            d = problem.gradient(theta, problem.rollouts(theta, rng, self.N))
        else:
            tau = problem.rollouts(theta, rng, self.batch)
            old = weighted_gradient(problem, previous, theta, tau, per_decision=self.per_decision)
            d = d + problem.gradient(theta, tau) - old
        return State(theta + self.gamma(t) * d, theta, d, t + 1)
