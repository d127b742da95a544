r"""The error recursion of implicit gradient transport, its constants, and its bias without noise.

For :math:`\hat e_t=d_t-\nabla J(\theta_t)` of N-PG-IGT (arXiv:2302.01734),

.. math::
   \hat e_t&=(1-\eta_t)\hat e_{t-1}+\eta_te_t+(1-\eta_t)S_t+\eta_tZ_t,\\
   S_t&=\nabla J(\theta_{t-1})-\nabla J(\theta_t)-\nabla^2J(\theta_t)(\theta_{t-1}-\theta_t),\\
   Z_t&=\nabla J(\tilde\theta_t)-\nabla J(\theta_t)-\nabla^2J(\theta_t)(\tilde\theta_t-\theta_t),

with :math:`e_t=g_t-\nabla J(\tilde\theta_t)` the sampling noise: the first-order parts of the two remainders cancel
(``pgtheory.symbolic.transport`` shows it). The recursion is second-hand (third-party notes of the paper); the suprema
and the limits of the bias are derived here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pgtheory.mdp import validate

Field = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class TransportTerms:
    r"""The terms of the recursion at steps t = 1, …, T of a path, each [T, ..., dim].

    Attributes
    ----------
    noise : array
        :math:`\eta_te_t`.
    past : array
        :math:`(1-\eta_t)S_t`: the old iterate seen from the new one.
    ahead : array
        :math:`\eta_tZ_t`: the extrapolated point seen from the new one.
    first_order : array
        What cancels: :math:`(1-\eta_t)\nabla^2J(\theta_{t-1}-\theta_t)+\eta_t\nabla^2J(\tilde\theta_t-\theta_t)`.
    error : array
        :math:`\hat e_t` by the recursion, from :math:`\hat e_0`.
    """

    noise: np.ndarray
    past: np.ndarray
    ahead: np.ndarray
    first_order: np.ndarray
    error: np.ndarray


def transport_terms(
    gradient: Field,
    hvp: Callable[[np.ndarray, np.ndarray], np.ndarray],
    path: Any,
    eta: Any,
    *,
    estimates: Any = None,
) -> TransportTerms:
    r"""The error recursion evaluated term by term along a path.

    Parameters
    ----------
    gradient, hvp : functions
        Exact :math:`\nabla J` and :math:`\nabla^2J\,v`, such as those methods of an ``ExactProblem``.
    path : array [T + 1, ..., dim]
        The iterates :math:`\theta_0,\dots,\theta_T`, of whatever origin.
    eta : array [T + 1]
        Momenta in (0, 1].
    estimates : array [T + 1, ..., dim], optional
        The gradients :math:`g_t` that were averaged, each taken at :math:`\tilde\theta_t`; exact ones by default.
    """
    theta = np.asarray(validate.numbers("path", path), dtype=float)
    if theta.ndim < 2 or len(theta) < 2:
        raise ValueError(f"path must be [T + 1, ..., dim] with T at least 1, got {list(theta.shape)}")
    weights = validate.real_array("eta", eta, (len(theta),), "[T + 1]")
    if not ((weights > 0) & (weights <= 1)).all():
        raise ValueError(f"eta must lie in (0, 1], got {weights.min()} to {weights.max()}")
    eta_t = weights[1:].reshape(-1, *[1] * (theta.ndim - 1))
    now, back = theta[1:], theta[:-1] - theta[1:]
    forth = -(1 - eta_t) / eta_t * back
    exact, curved_back, curved_forth = gradient(theta), hvp(now, back), hvp(now, forth)
    at_tilde = gradient(now + forth)
    noise, error = np.zeros_like(theta), np.zeros_like(now)
    if estimates is not None:
        g = np.asarray(
            validate.trailing("estimates", estimates, theta.shape, "[T + 1, ..., dim]"), dtype=float
        )
        noise = g - np.concatenate([exact[:1], at_tilde])
    past = (1 - eta_t) * (exact[:-1] - exact[1:] - curved_back)
    ahead = eta_t * (at_tilde - exact[1:] - curved_forth)
    added = eta_t * noise[1:] + past + ahead
    carried = noise[0]
    for t in range(len(now)):
        carried = error[t] = (1 - eta_t[t]) * carried + added[t]
    return TransportTerms(
        eta_t * noise[1:], past, ahead, (1 - eta_t) * curved_back + eta_t * curved_forth, error
    )


def bias_recursion(
    derivative: Field, steps: int, momentum: float, method: Literal["igt", "momentum"] = "igt"
) -> np.ndarray:
    r"""Errors :math:`d_t-J'(\theta_t)` [steps + 1] without noise, moving by :math:`\gamma_t=x_t=2/(t+2)` along a line.

    Written out from the definition, apart from the methods, from :math:`\theta_0=0` and :math:`d_0=J'(0)`.

    Parameters
    ----------
    derivative : function
        J' of arrays of any shape.
    steps : int
    momentum : float
        q in :math:`\eta_t=x_t^q`.
    method : {"igt", "momentum"}
        With or without the extrapolation.
    """
    if method not in ("igt", "momentum"):
        raise ValueError(f"method must be 'igt' or 'momentum', got {method!r}")
    steps, q = validate.positive_integer("steps", steps), validate.finite("momentum", momentum)
    x = 2 / (np.arange(steps + 1) + 2)
    eta = x**q
    theta = np.concatenate([[0.0], np.cumsum(x[:-1])])
    looked_at = theta.copy()
    if method == "igt":
        looked_at[1:] += (1 - eta[1:]) / eta[1:] * x[:-1]
    g, d, averages = derivative(looked_at), 0.0, np.empty(steps + 1)
    for t in range(steps + 1):
        d = averages[t] = (1 - eta[t]) * d + eta[t] * g[t]
    return averages - derivative(theta)


def bias_limit(t: Any, method: Literal["igt", "momentum"]) -> np.ndarray:
    r"""Leading order of the bias as t grows (derived here), for the schedules of the theory.

    IGT with :math:`\eta_t=x_t^{4/5}` on :math:`J'''=1`: :math:`\tfrac12(2/t)^{2/5}`. Momentum with
    :math:`\eta_t=x_t^{2/3}` on :math:`J''=1`: :math:`-(2/t)^{1/3}`.
    """
    if method not in ("igt", "momentum"):
        raise ValueError(f"method must be 'igt' or 'momentum', got {method!r}")
    x = 2 / np.asarray(validate.numbers("t", t), dtype=float)
    return x ** (2 / 5) / 2 if method == "igt" else -(x ** (1 / 3))


def supremum(p: float, q: float, steps: int = 200_000) -> float:
    r"""The constant C(p, q): the largest ratio of a weighted sum to its scale up to ``steps``.

    .. math::
       \sum_{t<T}\gamma_t\prod_{\tau=t+1}^{T-1}(1-\eta_\tau)\le C(p,q)\,\gamma_T/\eta_T,\qquad
       \gamma_t=x_t^p,\quad\eta_t=x_t^q .

    The ratio tends to 1, so where it stays below on the way the supremum over all T is 1. The closed form of the
    paper's notes is four orders of magnitude larger; these numbers are computed.
    """
    p, q = validate.finite("p", p), validate.finite("q", q)
    steps = validate.positive_integer("steps", steps)
    x = 2 / (np.arange(steps + 1) + 2)
    gamma, eta = (x**p).tolist(), (x**q).tolist()
    weighted, largest = 0.0, 0.0
    for t in range(steps):
        weighted = (1 - eta[t]) * weighted + gamma[t]
        largest = max(largest, weighted * eta[t + 1] / gamma[t + 1])
    return largest
