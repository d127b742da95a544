r"""The return of a linear-Gaussian policy in closed form, with its first and second derivatives.

For :math:`a\sim\mathcal N(Ks,\Sigma)` and :math:`A_K=A+BK`, second moments :math:`X_h=\mathbb E s_hs_h^\top` run
forward and costs to go :math:`P_h` backward,

.. math::
   X_{h+1}&=A_KX_hA_K^\top+B\Sigma B^\top+W,\qquad P_h=Q+K^\top RK+\gamma A_K^\top P_{h+1}A_K,\quad P_H=0,\\
   M_h&=RK+\gamma B^\top P_{h+1}A_K,\qquad \nabla_KJ_H=-2\sum_{h<H}\gamma^hM_hX_h,\\
   \nabla_\Sigma J_H&=-\sum_{h<H}\gamma^h(R+\gamma B^\top P_{h+1}B),

and second derivatives are these recursions differentiated along a direction. Gains have any leading batch
axes. Gains so large that a product overflows give infinities or NaN, in their own batch element only.
Source: the set-up of arXiv:2302.01734's study; Fazel et al. (2018) for the infinite horizon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pgtheory.continuous.linear_system import LinearSystem, semidefinite
from pgtheory.mdp import validate

# an overflowing gain gives infinities or NaN, without a warning
QUIET = np.errstate(over="ignore", invalid="ignore")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a batch of linear-Gaussian policies is worth; quantities are computed when first asked for.

    Attributes
    ----------
    system : LinearSystem
    K : array [..., k, n]
        Gains.
    covariance : array [..., k, k]
        Of the actions around them.
    """

    system: LinearSystem
    K: np.ndarray
    covariance: np.ndarray

    @cached_property
    @QUIET
    def J(self) -> np.ndarray:
        """The return [...]."""
        action_cost = _trace(self.system.R, self.covariance)
        inflow = [_trace(p, self._inflow) for p in self._gamma * self.P[1:]]
        return -_trace(self.P[0], self.system.start_moment) - self._discounted(
            action_cost + x for x in inflow
        )

    @cached_property
    @QUIET
    def gradient(self) -> np.ndarray:
        """Its gradient in K [..., k, n]."""
        return -2 * self._discounted(m @ x for m, x in zip(self.M, self.X))

    @cached_property
    @QUIET
    def covariance_gradient(self) -> np.ndarray:
        """Its gradient in the covariance [..., k, k], of which it is an affine function."""
        B = self.system.B
        return -self._discounted(self.system.R + self._gamma * B.T @ p @ B for p in self.P[1:])

    @cached_property
    def closed(self) -> np.ndarray:
        r"""The closed loop :math:`A_K` [..., n, n]."""
        return self.system.A + self.system.B @ self.K

    @cached_property
    @QUIET
    def X(self) -> np.ndarray:
        """Second moments of the states [H, ..., n, n]."""
        batch = np.broadcast_shapes(self.closed.shape, self._inflow.shape)
        X = np.empty((self.system.horizon, *batch))
        X[0] = self.system.start_moment
        for h in range(self.system.horizon - 1):
            X[h + 1] = self.closed @ X[h] @ _T(self.closed) + self._inflow
        return X

    @cached_property
    @QUIET
    def P(self) -> np.ndarray:
        """Costs to go [H + 1, ..., n, n]."""
        P = np.zeros((self.system.horizon + 1, *self.closed.shape))
        cost = self.system.Q + _T(self.K) @ self.system.R @ self.K
        for h in range(self.system.horizon - 1, -1, -1):
            P[h] = cost + self._gamma * _T(self.closed) @ P[h + 1] @ self.closed
        return P

    @cached_property
    @QUIET
    def M(self) -> np.ndarray:
        r""":math:`RK+\gamma B^\top P_{h+1}A_K` [H, ..., k, n]: minus half of what moving K gains, per state."""
        return self.system.R @ self.K + self._gamma * self.system.B.T @ self.P[1:] @ self.closed

    @property
    def _gamma(self) -> float:
        return self.system.discount

    @property
    def _inflow(self) -> np.ndarray:
        return self.system.B @ self.covariance @ self.system.B.T + self.system.noise

    def _discounted(self, terms: Iterable[np.ndarray]) -> Any:
        # added one after the other: the same bits whatever the batch
        return sum(self._gamma**h * term for h, term in enumerate(terms))


class Tangent(NamedTuple):
    """Directional derivatives of an evaluation's gradients."""

    gradient: np.ndarray  # [..., k, n]
    covariance_gradient: np.ndarray  # [..., k, k]


class BestGain(NamedTuple):
    """The best time-invariant gain and its return."""

    K: np.ndarray  # [k, n]
    J: float


def evaluate(system: LinearSystem, K: Any, covariance: Any) -> Evaluation:
    """Return and gradients of gains K [..., k, n] with action covariance [k, k] or [..., k, k].

    Raises
    ------
    TypeError, ValueError
        If a shape does not fit the system. Entries may be anything, NaN included.
    """
    validate.instance_of("system", system, LinearSystem)
    k, n = system.action_dim, system.state_dim
    K = validate.trailing("K", K, (k, n), "[..., k, n]").astype(float)
    covariance = validate.trailing("covariance", covariance, (k, k), "[..., k, k]").astype(float)
    return Evaluation(system, K, covariance)


@QUIET
def differentiate(evaluation: Evaluation, V: Any, dcovariance: Any = None) -> Tangent:
    r"""Derivatives of the gradients when K moves along V [..., k, n] and the covariance along ``dcovariance``.

    Where the covariance stays (the default) the first entry is :math:`\nabla^2_KJ_H\cdot V`.
    """
    ev, system = evaluation, evaluation.system
    B, R, X = system.B, system.R, ev.X
    V = validate.trailing("V", V, B.T.shape, "[..., k, n]").astype(float)
    fixed = np.zeros_like(R) if dcovariance is None else dcovariance
    dcovariance = validate.trailing("dcovariance", fixed, R.shape, "[..., k, k]").astype(float)
    H, gamma = system.horizon, system.discount
    dclosed, inflow = B @ V, B @ dcovariance @ B.T
    batch = np.broadcast_shapes(X.shape[1:], dclosed.shape, inflow.shape)
    dX, dP = np.zeros((H, *batch)), np.zeros((H + 1, *batch))
    for h in range(H - 1):
        turned = dclosed @ X[h] @ _T(ev.closed)
        dX[h + 1] = turned + _T(turned) + ev.closed @ dX[h] @ _T(ev.closed) + inflow
    for h in range(H - 1, -1, -1):
        turned = _T(V) @ ev.M[h]
        dP[h] = turned + _T(turned) + gamma * _T(ev.closed) @ dP[h + 1] @ ev.closed
    dM = (R @ V + gamma * B.T @ (dp @ ev.closed + p @ dclosed) for p, dp in zip(ev.P[1:], dP[1:]))
    return Tangent(
        gradient=-2 * ev._discounted(dm @ x + m @ dx for m, dm, x, dx in zip(ev.M, dM, X, dX)),
        covariance_gradient=-ev._discounted(gamma * B.T @ dp @ B for dp in dP[1:]),
    )


def best_gain(system: LinearSystem, covariance: Any) -> BestGain:
    """The gain K that maximises the return among linear policies that do not change with time.

    SciPy's exact trust-region Newton method on the closed form, from the gain that is optimal at time 0 when
    gains may change. It finds a local maximum; with a finite horizon nothing rules out another.

    Raises
    ------
    RuntimeError
        If the gradient does not vanish where the search ends.
    """
    from scipy import optimize

    covariance = semidefinite("covariance", covariance, system.action_dim)
    first = _first_gain(system)
    shape, size = first.shape, first.size
    directions = np.eye(size).reshape(size, *shape)
    unit = abs(float(evaluate(system, first, covariance).J)) or 1.0

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        ev = evaluate(system, x.reshape(shape), covariance)
        return -float(ev.J) / unit, -ev.gradient.ravel() / unit

    def curvature(x: np.ndarray) -> np.ndarray:
        ev = evaluate(system, x.reshape(shape), covariance)
        hessian = differentiate(ev, directions).gradient.reshape(size, size)
        return -(hessian + hessian.T) / (2 * unit)

    found = optimize.minimize(
        cost, first.ravel(), jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-11}
    )
    x, slope = _polished(found.x, cost, curvature)
    # rounding may keep the search from its own, very strict, criterion
    if not slope < 1e-7:
        raise RuntimeError(
            f"the best gain of {system!r} was not found: the gradient is still {slope * unit:g} "
            f"after {found.nit} iterations ({found.message})"
        )
    K = x.reshape(shape)
    return BestGain(K, float(evaluate(system, K, covariance).J))


def _polished(
    x: np.ndarray,
    cost: Callable[[np.ndarray], tuple[float, np.ndarray]],
    curvature: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, float]:
    """Newton steps from where differences of costs drown in rounding, as long as the gradient shrinks.

    Returns the point and the largest entry of its gradient.
    """
    gradient = cost(x)[1]
    slope = np.abs(gradient).max()
    while True:
        moved = x - np.linalg.lstsq(curvature(x), gradient)[0]
        after = cost(moved)[1]
        if not np.abs(after).max() < slope / 2:
            return x, float(slope)
        x, gradient, slope = moved, after, np.abs(after).max()


def _first_gain(system: LinearSystem) -> np.ndarray:
    """The optimal gain [k, n] at time 0 when gains may change with time (Riccati recursion)."""
    gamma, A, B = system.discount, system.A, system.B
    P, K = system.Q, np.zeros(B.T.shape)
    for _ in range(system.horizon - 1):
        K = -gamma * np.linalg.lstsq(system.R + gamma * B.T @ P @ B, B.T @ P @ A)[0]
        closed = A + B @ K
        P = system.Q + K.T @ system.R @ K + gamma * closed.T @ P @ closed
    return K


def _T(x: np.ndarray) -> np.ndarray:
    return x.swapaxes(-1, -2)


def _trace(symmetric: np.ndarray, x: np.ndarray) -> np.ndarray:
    return (symmetric * x).sum((-1, -2))
