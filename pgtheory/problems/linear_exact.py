"""A linear-Gaussian policy on a linear system, with every quantity exact and in closed form."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from pgtheory.continuous.linear_system import LinearSystem, semidefinite
from pgtheory.continuous.lqr import QUIET, BestGain, Evaluation, best_gain, differentiate, evaluate
from pgtheory.mdp import validate


class ExactLinearGaussian:
    r"""Maximise :math:`J_H(\theta)` of :math:`a\sim\mathcal N(Ks,\Sigma)` on a linear system; all derivatives exact.

    Every method takes parameters ``theta`` [..., dim], K flattened by rows, and :math:`\log\sigma` last where the
    standard deviation is learned. Values that overflow are NaN or infinite, in their own batch element only.

    Parameters
    ----------
    system : LinearSystem
    sigma : float, optional
        Standard deviation of every action.
    covariance : array [k, k], optional
        :math:`\Sigma`, instead of ``sigma``.
    learn_std : bool
        Instead of both: :math:`\Sigma=\sigma^2I`, and :math:`\log\sigma` is a parameter.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it held and what was expected.
    """

    def __init__(
        self,
        system: LinearSystem,
        sigma: float | None = None,
        *,
        covariance: Any = None,
        learn_std: bool = False,
    ) -> None:
        validate.instance_of("system", system, LinearSystem)
        self.system, self.learn_std = system, validate.flag("learn_std", learn_std)
        k = system.action_dim
        given = (sigma is not None) + (covariance is not None) + self.learn_std
        if given != 1:
            raise ValueError(
                f"exactly one of sigma=, covariance= and learn_std=True must be given, got {given} of them "
                "(a learned log sigma is the last entry of theta)"
            )
        if sigma is not None:
            covariance = validate.positive("sigma", sigma) ** 2 * np.eye(k)
        self.covariance = None if self.learn_std else _definite("covariance", covariance, k)

    def __repr__(self) -> str:
        return f"ExactLinearGaussian({self.system!r}, dim={self.dim})"

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return self._gains + self.learn_std

    @cached_property
    def best(self) -> BestGain:
        """The best gain K [k, n] that does not change with time, and its return; where σ is learned, as σ → 0."""
        k = self.system.action_dim
        return best_gain(self.system, np.zeros((k, k)) if self.covariance is None else self.covariance)

    @property
    def optimum(self) -> float:
        r""":math:`J_H^*` over the policies of the class."""
        return self.best.J

    # -- values and derivatives -----------------------------------------------------------------------------

    def evaluation(self, theta: Any) -> Evaluation:
        """Return, gradients and moments of the policies theta [..., dim]."""
        theta = self._check("theta", theta)
        return evaluate(self.system, self._gain(theta), self._covariance(theta))

    def value(self, theta: Any) -> np.ndarray:
        """J [...] of parameters [..., dim]."""
        return self.evaluation(theta).J

    @QUIET
    def gradient(self, theta: Any) -> np.ndarray:
        r""":math:`\nabla J` [..., dim]."""
        ev = self.evaluation(theta)
        flat = ev.gradient.reshape(*ev.J.shape, self._gains)
        if not self.learn_std:
            return flat
        by_log = 2 * _trace(ev.covariance @ ev.covariance_gradient)
        return np.concatenate([flat, by_log[..., None]], axis=-1)

    @QUIET
    def hvp(self, theta: Any, v: Any) -> np.ndarray:
        r""":math:`\nabla^2J(\theta)\,v` [..., dim] for directions v [..., dim]."""
        v, ev = self._check("v", v), self.evaluation(theta)
        if not self.learn_std:
            tangent = differentiate(ev, self._gain(v))
            return tangent.gradient.reshape(*tangent.gradient.shape[:-2], self._gains)
        dcovariance = 2 * v[..., -1, None, None] * ev.covariance
        tangent = differentiate(ev, self._gain(v), dcovariance)
        flat = tangent.gradient.reshape(*tangent.gradient.shape[:-2], self._gains)
        by_log = dcovariance @ ev.covariance_gradient + ev.covariance @ tangent.covariance_gradient
        return np.concatenate([flat, 2 * _trace(by_log)[..., None]], axis=-1)

    # -- geometry -------------------------------------------------------------------------------------------

    @QUIET
    def fisher(self, theta: Any) -> np.ndarray:
        r"""Fisher matrix [..., dim, dim] in the normalised discounted distribution of states."""
        precision, ev = self._covariance(self._check("theta", theta), -1), self.evaluation(theta)
        weights = self.system.discount ** np.arange(self.system.horizon)
        moment = np.tensordot(weights / weights.sum(), ev.X, 1)
        blocks = np.einsum("...ij,...mn->...imjn", precision, moment)
        F = np.zeros((*blocks.shape[:-4], self.dim, self.dim))
        F[..., : self._gains, : self._gains] = blocks.reshape(*F.shape[:-2], self._gains, self._gains)
        F[..., self._gains :, self._gains :] = 2 * self.system.action_dim
        return F

    @QUIET
    def natural_gradient(self, theta: Any, *, damping: float = 0.0) -> np.ndarray:
        r""":math:`F_\rho^\dagger\nabla J`, or :math:`(F_\rho+\lambda I)^{-1}\nabla J` with damping, [..., dim]."""
        damping = validate.non_negative("damping", damping)
        gradient, F = self.gradient(theta)[..., None], self.fisher(theta)
        finite = np.isfinite(F).all((-1, -2), keepdims=True)
        solvable = np.where(finite, F, 0.0) + damping * np.eye(self.dim)
        solved = np.linalg.pinv(solvable, hermitian=True) @ gradient
        return np.where(finite, solved, np.nan)[..., 0]

    # -- inside ---------------------------------------------------------------------------------------------

    @property
    def _gains(self) -> int:
        return self.system.B.size

    def _gain(self, theta: np.ndarray) -> np.ndarray:
        return theta[..., : self._gains].reshape(*theta.shape[:-1], *self.system.B.T.shape)

    @QUIET
    def _covariance(self, theta: np.ndarray, power: int = 1) -> np.ndarray:
        """The covariance or, for power -1, its inverse, [k, k] or [..., k, k]."""
        if self.covariance is not None:
            return np.linalg.matrix_power(self.covariance, power)
        return np.exp(2 * power * theta[..., -1])[..., None, None] * np.eye(self.system.action_dim)

    def _check(self, name: str, value: Any) -> np.ndarray:
        return validate.trailing(name, value, (self.dim,), "[..., dim]").astype(float)


def _definite(name: str, value: Any, size: int) -> np.ndarray:
    """``value`` as a fresh symmetric positive definite matrix."""
    matrix = semidefinite(name, value, size)
    least, most = np.linalg.eigvalsh(matrix)[[0, -1]]
    if least <= 1e-14 * most:
        raise ValueError(f"{name} must be positive definite, its least eigenvalue is {least:g}")
    return matrix


def _trace(x: np.ndarray) -> np.ndarray:
    return np.trace(x, axis1=-2, axis2=-1)
