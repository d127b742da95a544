r"""Objectives that are given as functions, with exact derivatives and no sampling noise.

What a method does without noise is its bias: how far its estimate lags behind the gradient it should be. Every
method that runs on sampled trajectories runs here unchanged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pgtheory.mdp import validate
from pgtheory.problems.streams import Streams

Field = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Evaluations:
    r"""What stands for trajectories where nothing is random: n looks at the objective, a decision each.

    Attributes
    ----------
    rewards : array [seeds, n, 1]
        :math:`J(\theta)`.
    lengths : int array [seeds, n]
        Ones.
    """

    rewards: np.ndarray
    lengths: np.ndarray


class DeterministicProblem:
    r"""Maximise :math:`J(\theta)` from exact values and derivatives; parameters are [seeds, dim].

    Parameters
    ----------
    value : function
        :math:`J`: parameters [seeds, dim] to [seeds].
    gradient : function
        :math:`\nabla J`: parameters [seeds, dim] to [seeds, dim].
    hvp : function
        :math:`\nabla^2J(\theta)v`: parameters and directions, both [seeds, dim], to [seeds, dim].
    dim : int
        Number of parameters.
    """

    def __init__(
        self, value: Field, gradient: Field, hvp: Callable[[np.ndarray, np.ndarray], np.ndarray], dim: int = 1
    ) -> None:
        for name, function in (("value", value), ("gradient", gradient), ("hvp", hvp)):
            if not callable(function):
                raise TypeError(f"{name} must be a function of theta [seeds, dim], got {function!r}")
        self._value, self._gradient, self._hvp = value, gradient, hvp
        self.dim = validate.positive_integer("dim", dim)

    @classmethod
    def polynomial(cls, derivative: Sequence[float]) -> "DeterministicProblem":
        r"""One parameter and a polynomial: ``[1, 0, 0.5]`` is :math:`J'=1+\theta^2/2`, with :math:`J(0)=0`."""
        coefficients = validate.real_array("derivative", derivative, (None,), "[degree + 1]")
        if len(coefficients) == 0:
            raise ValueError("derivative must have at least one coefficient, got none")
        slope = np.polynomial.Polynomial(coefficients)
        J, curvature = slope.integ(), slope.deriv()
        return cls(lambda theta: J(theta[:, 0]), slope, lambda theta, v: curvature(theta) * v)

    def __repr__(self) -> str:
        return f"DeterministicProblem(dim={self.dim})"

    def value(self, theta: np.ndarray) -> np.ndarray:
        """J [seeds]."""
        return self._value(theta)

    def exact_gradient(self, theta: np.ndarray) -> np.ndarray:
        r""":math:`\nabla J` [seeds, dim]."""
        return self._gradient(theta)

    def rollouts(self, theta: np.ndarray, rng: Streams, n: int = 1) -> Evaluations:
        """n looks at the objective for each seed; ``rng`` is not used."""
        J = self._value(theta)
        n = validate.positive_integer("n", n)
        return Evaluations(np.repeat(J[:, None, None], n, axis=1), np.ones((len(J), n), np.int32))

    def gradient(
        self,
        theta: np.ndarray,
        tau: Evaluations,
        weights: np.ndarray | None = None,
        *,
        baseline: bool = False,
    ) -> np.ndarray:
        r""":math:`\nabla J` [seeds, dim], times the mean of ``weights`` [seeds, n, ...] if there are any.

        A baseline changes nothing: there is no noise to reduce.
        """
        exact = self._gradient(theta)
        return exact if weights is None else exact * weights.reshape(len(weights), -1).mean(axis=1)[:, None]

    def hvp(self, theta: np.ndarray, tau: Evaluations, v: np.ndarray) -> np.ndarray:
        r""":math:`\nabla^2J\,v` [seeds, dim]."""
        return self._hvp(theta, v)

    def log_ratio(
        self, theta: np.ndarray, behaviour: np.ndarray, tau: Evaluations, *, per_decision: bool = False
    ) -> np.ndarray:
        """Zeros [seeds, n] or [seeds, n, 1]: what is seen does not depend on where it was drawn."""
        return np.zeros_like(tau.rewards if per_decision else tau.rewards[..., 0])
