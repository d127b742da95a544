"""N-PG-IGT: normalised policy gradient with implicit gradient transport."""

from dataclasses import dataclass

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.protocol import Problem, State, direction, start
from pgtheory.methods.schedules import Schedule, momentum, power
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class NPGIGT:
    r"""Normalised policy gradient with implicit gradient transport (arXiv:2302.01734, Alg. 1).

    One batch of trajectories an iteration, sampled *and* scored at the extrapolated point
    :math:`\tilde\theta_t`: its fresh gradient moves the old momentum to the new iterate, exactly so where
    the objective is quadratic. No importance weights, no second derivatives.

    Parameters
    ----------
    gamma : Schedule
        Step size; theory :math:`\gamma_t\propto x_t`.
    eta : Schedule
        Momentum; theory :math:`\eta_t=x_t^{4/5}`.
    batch : int
        Trajectories a seed and iteration.
    """

    gamma: Schedule = power(0.1, 1)
    eta: Schedule = power(1.0, 4 / 5)
    batch: int = 1

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, previous, d, t = state
        eta = momentum(self.eta, t)
        theta_tilde = theta + (1 - eta) / eta * (theta - previous)
        tau = problem.rollouts(theta_tilde, rng, self.batch)
        d = (1 - eta) * d + eta * problem.gradient(theta_tilde, tau)
        return State(theta + self.gamma(t) * direction(d), theta, d, t + 1)
