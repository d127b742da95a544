"""Normalised policy gradient with momentum."""

from dataclasses import dataclass

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.protocol import Problem, State, direction, start
from pgtheory.methods.schedules import Schedule, momentum, power
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class NormalisedPG:
    r"""Normalised policy gradient with momentum (N-MPG; "nsgdm" in the official code of arXiv:2302.01734).

    .. math:: d_t=(1-\eta_t)d_{t-1}+\eta_t\,g(\tau_t,\theta_t),\qquad\theta_{t+1}=\theta_t+\gamma_td_t/\|d_t\| .

    N-PG-IGT without the extrapolation: old gradients are stale, which biases :math:`d_t`. With
    ``eta=constant(1)`` there is no momentum at all.

    Parameters
    ----------
    gamma, eta : Schedule
        :math:`\gamma_0x_t` and :math:`x_t^{2/3}` by default.
    batch : int
    """

    gamma: Schedule = power(0.1, 1)
    eta: Schedule = power(1.0, 2 / 3)
    batch: int = 1

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, _, d, t = state
        eta = momentum(self.eta, t)
        tau = problem.rollouts(theta, rng, self.batch)
        d = (1 - eta) * d + eta * problem.gradient(theta, tau)
        return State(theta + self.gamma(t) * direction(d), theta, d, t + 1)
