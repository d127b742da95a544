"""Natural policy gradient, exact and sampled, with and without momentum."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.methods.hyperparameters import check_hyperparameters
from pgtheory.methods.protocol import State, start
from pgtheory.methods.schedules import Schedule, constant, momentum
from pgtheory.problems.streams import Streams


@dataclass(frozen=True)
class ExactNPG:
    r"""Exact natural policy gradient :math:`\theta_{t+1}=\theta_t+\eta_tF_\rho^\dagger\nabla J`; no samples.

    For tabular softmax and an infinite horizon :math:`\theta\leftarrow\theta+\eta A/(1-\gamma)`, up to a
    constant a state (Kakade 2001).

    Parameters
    ----------
    eta : Schedule
    """

    eta: Schedule = constant(0.1)

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Any, theta: np.ndarray, rng: Streams) -> State:
        if not hasattr(problem, "exact"):
            raise TypeError(f"problem must have exact quantities for ExactNPG, {problem!r} has none; use NPG")
        return start(theta)

    def step(self, problem: Any, state: State, rng: Streams) -> State:
        theta, t = state.theta, state.t
        d = problem.exact.natural_gradient(theta)
        return State(theta + self.eta(t) * d, theta, d, t + 1)


@dataclass(frozen=True)
class NPG:
    r"""Sampled natural policy gradient with ridge: :math:`\theta_{t+1}=\theta_t+\eta_t(\hat F+\lambda I)^{-1}d_t`.

    With :math:`\beta_t=1` (the default) :math:`d_t=\bar g_B(\theta_t)`; below 1 it is MNPG,
    :math:`d_t=(1-\beta_t)d_{t-1}+\beta_t\bar g_B(\theta_t)`. The Fisher matrix comes from the same trajectories.

    Parameters
    ----------
    eta : Schedule
    ridge : float
        :math:`\lambda>0`.
    beta : Schedule
        Momentum.
    batch : int
    """

    eta: Schedule = constant(0.1)
    ridge: float = 0.01
    beta: Schedule = constant(1.0)
    batch: int = 10

    def __post_init__(self) -> None:
        check_hyperparameters(self)

    def init(self, problem: Any, theta: np.ndarray, rng: Streams) -> State:
        if not self.ridge > 0:
            raise ValueError(f"ridge must be positive, got {self.ridge}: a sampled Fisher matrix is singular")
        return start(theta)

    def step(self, problem: Any, state: State, rng: Streams) -> State:
        theta, _, d, t = state
        beta = momentum(self.beta, t)
        tau = problem.rollouts(theta, rng, self.batch)
        d = (1 - beta) * d + beta * problem.gradient(theta, tau)
        F = problem.fisher(theta, tau) + self.ridge * np.eye(theta.shape[-1])
        w = np.linalg.solve(F, d[..., None])[..., 0]
        return State(theta + self.eta(t) * w, theta, d, t + 1)


def MNPG(eta: Schedule = constant(0.1), beta: Schedule = constant(0.5), **options: Any) -> NPG:
    """Momentum NPG: ``NPG`` whose gradient is averaged over iterations before the Fisher solve."""
    return NPG(eta=eta, beta=beta, **options)
