"""HARPG and N-HARPG: momentum moved along by sampled Hessian-vector products."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.protocol import Problem, State, direction, start
from pgtheory.methods.schedules import Schedule, momentum, power
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class HARPG:
    r"""Hessian-aided recursive policy gradient (arXiv:2302.01734, Alg. 2).

    .. math::
       d_t=(1-\eta_t)\big(d_{t-1}+B(\hat\tau_t,\hat\theta_t)(\theta_t-\theta_{t-1})\big)+\eta_t\,g(\tau_t,\theta_t),
       \qquad\theta_{t+1}=\theta_t+\gamma_td_t,

    with :math:`\hat\theta_t` uniform on the segment between the last two iterates, which makes the correction
    unbiased for :math:`\nabla J(\theta_t)-\nabla J(\theta_{t-1})`. Two independent batches an iteration, one
    at t = 0.

    Parameters
    ----------
    gamma, eta : Schedule
        Theory: :math:`\gamma_t\propto x_t^{1/2}`, :math:`\eta_t=x_t`.
    batch, hvp_batch : int
        Trajectories for the gradient and for the Hessian–vector product.
    """

    gamma: Schedule = power(0.1, 1 / 2)
    eta: Schedule = power(1.0, 1)
    batch: int = 1
    hvp_batch: int = 1
    normalised: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Problem, theta: np.ndarray, rng: Streams) -> State:
        return start(theta)

    def step(self, problem: Problem, state: State, rng: Streams) -> State:
        theta, previous, d, t = state
        eta = momentum(self.eta, t)
        if t > 0:
            q = rng.uniform()[:, None]
            theta_hat = q * theta + (1 - q) * previous
            tau_hat = problem.rollouts(theta_hat, rng, self.hvp_batch)
            d = d + problem.hvp(theta_hat, tau_hat, theta - previous)
        tau = problem.rollouts(theta, rng, self.batch)
        d = (1 - eta) * d + eta * problem.gradient(theta, tau)
        return State(theta + self.gamma(t) * (direction(d) if self.normalised else d), theta, d, t + 1)


@dataclass(frozen=True)
class NHARPG(HARPG):
    r"""HARPG with the normalised step (arXiv:2302.01734, Alg. 2).

    :math:`\theta_{t+1}=\theta_t+\gamma_td_t/\|d_t\|`, theory :math:`\gamma_t\propto x_t`.
    """

    gamma: Schedule = power(0.1, 1)
    normalised: ClassVar[bool] = True
