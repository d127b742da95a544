"""PAGE-PG: recursive variance reduction with random restarts."""

from dataclasses import dataclass

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.importance import weighted_gradient
from pgtheory.methods.protocol import Problem, State, start
from pgtheory.methods.schedules import Schedule, constant
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class PAGEPG:
    r"""PAGE-PG (arXiv:2202.00308): with probability p a fresh :math:`\bar g_N(\theta_t)`, else the SRVR-PG recursion.

    Every seed flips its own coin; only the seeds that restart spend the big batch.

    Parameters
    ----------
    gamma : Schedule
    p : float
        Probability of a restart.
    N, batch : int
        Trajectories of a restart and of the recursion.
    per_decision : bool
        Importance weights per decision instead of per trajectory.
    """

    gamma: Schedule = constant(0.01)
    p: float = 0.1
    N: int = 50
    batch: int = 5
    per_decision: bool = False

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, previous, d, t = state
        fresh = (rng.uniform() < self.p) | (t == 0)
        d = d.copy()
        for chosen, n in ((fresh, self.N), (~fresh, self.batch)):
            own = rng.split(chosen)
            if own is None:
                continue
            here = theta[chosen]
            tau = problem.rollouts(here, own, n)
            g = problem.gradient(here, tau)
            if chosen is fresh:
                d[chosen] = g
            else:
                back = previous[chosen]
                d[chosen] += g - weighted_gradient(problem, back, here, tau, per_decision=self.per_decision)
        return State(theta + self.gamma(t) * d, theta, d, t + 1)
