"""SVRPG: variance reduction against a snapshot."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.importance import weighted_gradient
from pgtheory.methods.protocol import Problem
from pgtheory.methods.schedules import Schedule, constant
from pgtheory.problems.streams import Streams


class SnapshotState(NamedTuple):
    """Iterate, its predecessor, last estimate, snapshot and its big-batch gradient."""

    theta: np.ndarray
    previous: np.ndarray
    d: np.ndarray
    snapshot: np.ndarray
    mu: np.ndarray
    t: int


@dataclass(frozen=True)
class SVRPG:
    r"""Stochastic variance-reduced policy gradient (arXiv:1806.05618).

    Every m steps a snapshot :math:`\tilde\theta` with :math:`\tilde\mu=\bar g_N(\tilde\theta)`; in between

    .. math::
       d=\tilde\mu+\bar g_B(\theta)-\tfrac1B\textstyle\sum_iw(\tau_i|\tilde\theta,\theta)\,g(\tau_i,\tilde\theta),
        \qquad\tau_i\sim\theta .

    Parameters
    ----------
    gamma : Schedule
    m, N, batch : int
        Steps between snapshots, trajectories of a snapshot, trajectories in between.
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

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> SnapshotState:
        theta = np.asarray(theta, dtype=float)
        zero = np.zeros_like(theta)
        return SnapshotState(theta, theta, zero, theta, zero, 0)

    def step(self, problem: Problem, state: SnapshotState, rng: Streams) -> SnapshotState:
        theta, _, _, snapshot, mu, t = state
        if t % self.m == 0:
            d = mu = problem.gradient(theta, problem.rollouts(theta, rng, self.N))
            snapshot = theta
        else:
            tau = problem.rollouts(theta, rng, self.batch)
            old = weighted_gradient(problem, snapshot, theta, tau, per_decision=self.per_decision)
            d = mu + problem.gradient(theta, tau) - old
        return SnapshotState(theta + self.gamma(t) * d, theta, d, snapshot, mu, t + 1)
