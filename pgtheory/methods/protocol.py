"""What a method asks of a problem, and what a problem may ask of a method."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from pgtheory.problems.streams import Streams


class Problem(Protocol):
    """θ ↦ J(θ) with sampled first- and second-order information; arrays lead with a seed axis."""

    @property
    def dim(self) -> int:
        """Number of parameters."""

    def rollouts(self, theta: np.ndarray, rng: Streams, n: int = 1) -> Any:
        """n trajectories for each seed, sampled at theta [seeds, dim]."""

    def gradient(
        self, theta: np.ndarray, tau: Any, weights: np.ndarray | None = None, *, baseline: bool = False
    ) -> np.ndarray:
        """Estimate of ∇J [seeds, dim], scored at theta on given trajectories."""

    def hvp(self, theta: np.ndarray, tau: Any, v: np.ndarray) -> np.ndarray:
        """Estimate of ∇²J v [seeds, dim]."""

    def log_ratio(
        self, theta: np.ndarray, behaviour: np.ndarray, tau: Any, *, per_decision: bool = False
    ) -> np.ndarray:
        """Log importance weights [seeds, n] or [seeds, n, H]."""


class State(NamedTuple):
    """Where most methods are after t steps.

    Attributes
    ----------
    theta : array [seeds, dim]
        The iterate θ_t.
    previous : array [seeds, dim]
        θ_{t-1}; equal to ``theta`` at the start.
    d : array [seeds, dim]
        The estimate of ∇J(θ_{t-1}) that made the last step; zero at the start.
    t : int
    """

    theta: np.ndarray
    previous: np.ndarray
    d: np.ndarray
    t: int


@runtime_checkable
class Method(Protocol):
    """An update rule as two pure functions on an explicit state."""

    def init(self, problem: Any, theta: np.ndarray, rng: Streams) -> Any:
        """The state before the first step, at parameters theta [seeds, dim]."""

    def step(self, problem: Any, state: Any, rng: Streams) -> Any:
        """One iteration of the method for all seeds at once."""


def start(theta: np.ndarray) -> State:
    """The state of a method that remembers an estimate and one iterate."""
    theta = np.asarray(theta, dtype=float)
    return State(theta, theta, np.zeros_like(theta), 0)


def direction(d: np.ndarray) -> np.ndarray:
    """d / ‖d‖ for each seed [seeds, dim], the Euclidean norm over all parameters; zero stays zero, NaN is NaN."""
    norm = np.linalg.norm(d, axis=-1, keepdims=True)
    extreme = ~((norm > 1e-150) & (norm < np.inf))
    if extreme.any():  # zero, not finite, or so small or large that the squares vanish or overflow
        scale = np.where(extreme, np.abs(d).max(axis=-1, keepdims=True), 1.0)
        d = np.divide(d, scale, out=np.zeros_like(d), where=scale != 0)
        norm = np.where(scale == 0, 1.0, np.linalg.norm(d, axis=-1, keepdims=True))
    return d / norm
