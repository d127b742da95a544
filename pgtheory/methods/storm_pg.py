"""STORM-PG: recursive momentum with importance weights."""

from dataclasses import dataclass

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.importance import weighted_gradient
from pgtheory.methods.protocol import Problem, State, direction, start
from pgtheory.methods.schedules import Schedule, constant, momentum
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class STORMPG:
    r"""STORM-PG (arXiv:2003.04302): momentum moved along by importance weighting.

    .. math::
       d_0=\bar g_N(\theta_0),\qquad
       d_t=(1-\alpha_t)\Big[d_{t-1}-\tfrac1B\sum_iw(\tau_i|\theta_{t-1},\theta_t)\,g(\tau_i,\theta_{t-1})\Big]
       +\bar g_B(\theta_t).

    Parameters
    ----------
    gamma, alpha : Schedule
        Step size and momentum; constants in the paper.
    N, batch : int
        Trajectories at the start and at every later iteration.
    normalised : bool
        Step along :math:`d_t/\|d_t\|` (for comparison with N-HARPG; not in the paper).
    per_decision : bool
        Importance weights per decision instead of per trajectory.
    """

    gamma: Schedule = constant(0.01)
    alpha: Schedule = constant(0.2)
    N: int = 10
    batch: int = 1
    normalised: bool = False
    per_decision: bool = False

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, previous, d, t = state
        if t == 0:
            d = problem.gradient(theta, problem.rollouts(theta, rng, self.N))
        else:
            alpha = momentum(self.alpha, t)
            tau = problem.rollouts(theta, rng, self.batch)
            old = weighted_gradient(problem, previous, theta, tau, per_decision=self.per_decision)
            d = (1 - alpha) * (d - old) + problem.gradient(theta, tau)
        return State(theta + self.gamma(t) * (direction(d) if self.normalised else d), theta, d, t + 1)
