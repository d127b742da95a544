r"""Critic classes :math:`\mathcal F`: how a weighted regression on state–action pairs is solved in each.

Both terms of the hybrid loss are squares in the same f(s, a), so their sum is one regression: on the weights
:math:`\nu+\lambda d`, of the weighted mean of the two targets. A critic only has to solve that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pgtheory.mdp import validate

Solver = Callable[[np.ndarray, np.ndarray], np.ndarray]


@runtime_checkable
class Critic(Protocol):
    """A class of functions [S, A]."""

    def regression(self, weights: np.ndarray) -> Solver:
        """The map (targets, previous f) -> f that minimises the weighted squares; all [S, A]."""

    def pinned(self, f: np.ndarray) -> bool:
        """Whether f sits on the class's bound: it would go further if it might."""

    def unbounded(self) -> Critic:
        """The class without its bound, in which the regression is linear in the targets."""


@dataclass(frozen=True)
class Tabular(Critic):
    """Every function of the pair; one that no data speak about keeps its previous value."""

    def regression(self, weights: np.ndarray) -> Solver:
        seen = weights > 0
        return lambda targets, previous: np.where(seen, targets, previous)

    def pinned(self, f: np.ndarray) -> bool:
        return False

    def unbounded(self) -> Tabular:
        return self


@dataclass(frozen=True, eq=False)
class Linear(Critic):
    r""":math:`f=\psi(s,a)^\top w`.

    Parameters
    ----------
    features : array [S, A, dim]
        Zero in terminal states (set to zero there by the caller, whose states they are).
    ridge : float
        Added to the second moment :math:`\Sigma_\nu+\lambda\Sigma_d`. Without it, the shortest solution.
    bound : float or array [dim], optional
        :math:`|w_i|\le` bound, by clipping after every regression.

    Raises
    ------
    TypeError, ValueError
        If the features are not finite, the ridge is negative or the bound not positive.
    """

    features: Any
    ridge: float = 0.0
    bound: Any = None

    def __post_init__(self) -> None:
        features = validate.real_array("features", self.features, (None, None, None), "[S, A, dim]")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "ridge", validate.non_negative("ridge", self.ridge))
        if self.bound is None:
            return
        bound = np.broadcast_to(validate.numbers("bound", self.bound), features.shape[-1:]).astype(float)
        if not (bound > 0).all():
            raise ValueError(f"bound must be positive, got {bound.min():g}")
        object.__setattr__(self, "bound", bound)

    @property
    def dim(self) -> int:
        """Number of weights."""
        return self.features.shape[-1]

    def regression(self, weights: np.ndarray) -> Solver:
        if weights.shape != self.features.shape[:2]:
            raise ValueError(
                f"features must be of the data's pairs [S, A] = {list(weights.shape)}, "
                f"got {list(self.features.shape[:2])}"
            )
        moment = np.einsum("sai,sa,saj->ij", self.features, weights, self.features)
        inverse = np.linalg.pinv(moment + self.ridge * np.eye(self.dim), hermitian=True)
        reader = np.einsum("ij,saj,sa->isa", inverse, self.features, weights).reshape(self.dim, -1)

        def solve(targets: np.ndarray, previous: np.ndarray) -> np.ndarray:
            w = reader @ targets.ravel()
            if self.bound is not None:
                w = np.minimum(np.maximum(w, -self.bound), self.bound)
            return self.features @ w

        return solve

    def weights_of(self, f: np.ndarray) -> np.ndarray:
        """The shortest w [dim] with this f, a member of the class [S, A]."""
        rows = self.features.reshape(-1, self.dim)
        return np.linalg.lstsq(rows, f.ravel(), rcond=None)[0]

    def pinned(self, f: np.ndarray) -> bool:
        if self.bound is None:
            return False
        return bool((np.abs(self.weights_of(f)) >= self.bound * (1 - 1e-9)).any())

    def unbounded(self) -> Linear:
        return Linear(self.features, self.ridge)
