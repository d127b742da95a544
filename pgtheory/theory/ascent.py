r"""The normalised ascent lemma of arXiv:2302.01734 as an inequality that runs.

For *any* :math:`d_t` and :math:`\theta_{t+1}=\theta_t+\gamma_td_t/\|d_t\|`,

.. math::
   -J(\theta_{t+1})\le-J(\theta_t)-\tfrac{\gamma_t}3\|\nabla J(\theta_t)\|
   +\tfrac{8\gamma_t}3\|d_t-\nabla J_H(\theta_t)\|+\tfrac{L_g\gamma_t^2}2
   +\tfrac{4\gamma_t}3\|\nabla J_H(\theta_t)-\nabla J(\theta_t)\| .

Second-hand (third-party notes of the paper), re-derived here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.problems.exact import ExactProblem


@dataclass(frozen=True, eq=False)
class Ascent:
    r"""Both sides of the lemma, with the terms of the right one, each [...].

    Attributes
    ----------
    left : array
        :math:`-J(\theta_{t+1})`.
    start, gradient, error, smoothness, truncation : array
        The terms of the right side, in the order of the formula and with its signs.
    """

    left: np.ndarray
    start: np.ndarray
    gradient: np.ndarray
    error: np.ndarray
    smoothness: np.ndarray
    truncation: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """The sum of the terms."""
        return self.start + self.gradient + self.error + self.smoothness + self.truncation

    @property
    def slack(self) -> np.ndarray:
        """Right minus left: non-negative where the inequality holds."""
        return self.right - self.left


def normalised_ascent(
    problem: ExactProblem, theta: Any, d: Any, gamma: Any, L_g: float, *, horizon: int | None = None
) -> Ascent:
    r"""Both sides of the lemma for steps of an exact problem.

    Parameters
    ----------
    problem : ExactProblem
        Its objective is J: infinite-horizon for the theory, but any will do.
    theta : array [..., dim]
        :math:`\theta_t`.
    d : array [..., dim]
        :math:`d_t`, any estimate; where it is zero the parameters stay.
    gamma : float or array [...]
        Step sizes :math:`\gamma_t`.
    L_g : float
        Smoothness constant of J.
    horizon : int, optional
        H of the truncated return whose gradient ``d`` estimates; J's own by default (no truncation term).
    """
    validate.instance_of("problem", problem, ExactProblem)
    gamma = np.asarray(validate.numbers("gamma", gamma), dtype=float)
    if not (gamma >= 0).all():
        raise ValueError(f"gamma must be non-negative, got {gamma.min()}")
    L_g = validate.non_negative("L_g", L_g)
    theta, d = problem.policy.check(theta), problem.policy.check(d, "d")
    truncated = problem
    if horizon is not None:
        truncated = ExactProblem(problem.mdp, problem.policy, horizon=horizon)
    size = np.linalg.norm(d, axis=-1, keepdims=True)
    way = np.divide(d, size, out=np.zeros_like(d), where=size > 0)
    exact, target = problem.gradient(theta), truncated.gradient(theta)
    return Ascent(
        left=-problem.value(theta + gamma[..., None] * way),
        start=-problem.value(theta),
        gradient=-gamma / 3 * np.linalg.norm(exact, axis=-1),
        error=8 * gamma / 3 * np.linalg.norm(d - target, axis=-1),
        smoothness=L_g * gamma**2 / 2,
        truncation=4 * gamma / 3 * np.linalg.norm(target - exact, axis=-1),
    )
