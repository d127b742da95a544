"""IS-MBPG and IS-MBPG*: momentum-based policy gradient with importance sampling."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.importance import weighted_gradient
from pgtheory.methods.protocol import Problem
from pgtheory.problems.streams import Streams


class AdaptiveState(NamedTuple):
    """Iterate, its predecessor, last estimate, sum of squared gradient norms and last step size a seed."""

    theta: np.ndarray
    previous: np.ndarray
    d: np.ndarray
    squares: np.ndarray
    eta: np.ndarray
    t: int


@dataclass(frozen=True)
class ISMBPG:
    r"""IS-MBPG (arXiv:2007.06680), or IS-MBPG* with ``adaptive=False``.

    .. math::
       u_t=\beta_tg(\tau_t,\theta_t)+(1-\beta_t)\big[u_{t-1}+g(\tau_t,\theta_t)-w\,g(\tau_t,\theta_{t-1})\big],\qquad
       \theta_{t+1}=\theta_t+\eta_tu_t,

    with :math:`\beta_0=1`, :math:`\beta_{t+1}=\min(1,c\,\eta_t^2)` and
    :math:`\eta_t=k/(m+\sum_{i\le t}\|g_i\|^2)^{1/3}`, or :math:`k/(m+t)^{1/3}` for the starred version. The clipping
    found in public code is not part of the method and not done here.

    Parameters
    ----------
    k, m, c : float
    adaptive : bool
        Step sizes from the gradients seen (IS-MBPG) or from t alone (IS-MBPG*).
    batch : int
    per_decision : bool
        Importance weights per decision instead of per trajectory.
    """

    k: float = 0.75
    m: float = 1.0
    c: float = 1.0
    adaptive: bool = True
    batch: int = 1
    per_decision: bool = False

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> AdaptiveState:
        theta = np.asarray(theta, dtype=float)
        none = np.zeros(len(theta))
        return AdaptiveState(theta, theta, np.zeros_like(theta), none, none, 0)

    def step(self, problem: Problem, state: AdaptiveState, rng: Streams) -> AdaptiveState:
        theta, previous, u, squares, eta, t = state
        tau = problem.rollouts(theta, rng, self.batch)
        g = problem.gradient(theta, tau)
        squares = squares + (g**2).sum(-1)
        if t == 0:
            u = g
        else:
            beta = np.minimum(1.0, self.c * eta**2)[:, None]
            old = weighted_gradient(problem, previous, theta, tau, per_decision=self.per_decision)
            u = beta * g + (1 - beta) * (u + g - old)
        eta = self.k / (self.m + (squares if self.adaptive else np.full(len(theta), float(t)))) ** (1 / 3)
        return AdaptiveState(theta + eta[:, None] * u, theta, u, squares, eta, t + 1)
