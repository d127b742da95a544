"""Vanilla policy gradient: the GPOMDP estimator and nothing else."""

from dataclasses import dataclass

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.protocol import Problem, State, start
from pgtheory.methods.schedules import Schedule, power
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class VanillaPG:
    r"""Vanilla policy gradient with the GPOMDP estimator (Baxter & Bartlett 2001).

    .. math:: \theta_{t+1}=\theta_t+\gamma_t\,\bar g_B(\theta_t)

    Parameters
    ----------
    gamma : Schedule
        Step size; :math:`\gamma_0x_t^{2/3}` by default.
    batch : int
        Trajectories a seed and iteration.
    baseline : bool
        Subtract the leave-one-out mean reward-to-go at each time; needs a batch of at least two.
    """

    gamma: Schedule = power(0.1, 2 / 3)
    batch: int = 1
    baseline: bool = False

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, _, _, t = state
        tau = problem.rollouts(theta, rng, self.batch)
        d = problem.gradient(theta, tau, baseline=self.baseline)
        return State(theta + self.gamma(t) * d, theta, d, t + 1)
