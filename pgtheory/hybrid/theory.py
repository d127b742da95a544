r"""What the theorems promise: the guarantee of HPE, mirror descent, HAC and HNPG, as functions that run.

Constants are the appendix's of arXiv:2311.08384 (Lemmas 5 and 6, Theorems 1 and 2). Where the main text differs, its
:math:`K_1=4\lceil\log\frac1\gamma\rceil` cannot be right as :math:`\gamma\to1` (it needs :math:`\gamma^{K_1}\ll1`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.mdp import validate


@dataclass(frozen=True)
class HPEGuarantee:
    r"""Lemma 5: what hybrid evaluation reaches with probability :math:`1-\delta`.

    Attributes
    ----------
    m : int
        Tuples of each kind, fresh in every iteration.
    eps_stat : float
    K1, K2 : int
    on_policy : float
        :math:`\Delta_{on}\ge\mathbb E_{d^\pi}(\bar f-Q^\pi)^2`, whether the class is complete or not.
    offline : float
        :math:`\Delta_{off}\ge\mathbb E_\nu(\bar f-\mathcal T^\pi\bar f)^2`.
    """

    m: int
    eps_stat: float
    K1: int
    K2: int
    on_policy: float
    offline: float


def hpe_guarantee(
    T: int, lam: float, eps_be: float, discount: float, *, log_class: float, delta: float = 0.05
) -> HPEGuarantee:
    r"""Lemma 5 for T rounds.

    Parameters
    ----------
    T : int
    lam : float
        :math:`\lambda>0`: without on-policy returns nothing is promised.
    eps_be : float
        :math:`\varepsilon_{be}` (:func:`pgtheory.hybrid.completeness_error`).
    discount : float
    log_class : float
        :math:`\log|\mathcal F|` of a finite class.
    delta : float

    Raises
    ------
    TypeError, ValueError
        If a number is out of range.
    """
    T, lam = validate.positive_integer("T", T), validate.positive("lam", lam)
    eps_be, gamma = validate.non_negative("eps_be", eps_be), validate.discount_factor(discount, None)
    delta, left = validate.positive("delta", delta), 1 - gamma
    log_ratio = math.log(2 / delta) + validate.non_negative("log_class", log_class)
    eps = 128 * (1 + lam) / T
    target = (6 * lam * eps_be + eps * left) / lam**2
    K1 = 1 if target >= 1 or gamma == 0 else 1 + math.ceil(math.log(target) / math.log(gamma))
    return HPEGuarantee(
        m=math.ceil(2 * T * log_ratio / left**2),
        eps_stat=eps,
        K1=K1,
        K2=K1 + math.ceil(1 / (20 * eps * left)),
        on_policy=12 / left**2 * min(1 / lam, eps_be) + 12 * eps / (lam * left),
        offline=40 / left * (lam * eps_be / left + eps),
    )


def mirror_descent_bound(T: int, n_actions: int, discount: float) -> float:
    r"""Lemma 6: :math:`\sum_t\mathbb E_{d^{\pi^e}}[f^t-f^t(s,\pi^t)]\le\frac2{1-\gamma}\sqrt{T\log A}`.

    For any critics with :math:`|f|\le\frac1{1-\gamma}` and the step of
    :func:`pgtheory.hybrid.actor_critic.mirror_descent_step`.

    Raises
    ------
    TypeError, ValueError
        If T is below :math:`4\log A`, where the proof does not hold, or a number is out of range.
    """
    A, T = validate.positive_integer("n_actions", n_actions), validate.positive_integer("T", T)
    least = 4 * math.log(A)
    if least > T:
        raise ValueError(f"T must be at least 4 log A = {least:.3g} for the step to be small, got {T}")
    return 2 / (1 - validate.discount_factor(discount, None)) * math.sqrt(T * math.log(A))


def hac_weight(T: int, eps_be: float) -> float:
    r"""The :math:`\lambda` of Theorem 1: 1 if :math:`\varepsilon_{be}\le1/T`, else :math:`T/2-1`."""
    T = validate.positive_integer("T", T, 3)
    return 1.0 if validate.non_negative("eps_be", eps_be) <= 1 / T else T / 2 - 1


def hac_bound(
    T: int, n_actions: int, discount: float, *, c_npg: float, c_off: float = math.inf, eps_be: float = 0.0
) -> float:
    r"""Theorem 1: HAC's bound on :math:`\sum_{t\le T}(V^{\pi^e}-V^{\pi^t})`, with the :math:`\lambda` of `hac_weight`.

    Parameters
    ----------
    T, n_actions : int
    discount : float
    c_npg, c_off : float
        :math:`C_{npg},C_{off}`, possibly infinite. The second helps only where the class is complete.
    eps_be : float
    """
    T, (c_npg, c_off) = _rounds(T, n_actions), _coefficients(c_npg, c_off)
    left, rounds = (1 - validate.discount_factor(discount, None)) ** 2, math.sqrt(T * math.log(n_actions))
    if hac_weight(T, eps_be) == 1:
        return (60 * rounds + 100 * math.sqrt(min(c_npg, c_off**2) * T)) / left
    return (2 * rounds + 72 * math.sqrt(c_npg * T)) / left


def hnpg_bound(
    T: int,
    n_actions: int,
    discount: float,
    *,
    beta: float,
    W: float,
    c_npg: float,
    c_bar_off: float = math.inf,
    eps_be: float = 0.0,
) -> float:
    r"""Theorem 2: HNPG's bound on the same sum, with :math:`\bar C_{off}^2` as in the appendix.

    The main text prints :math:`\bar C_{off}`. Other parameters as in :func:`hac_bound`; :math:`\beta` and W from
    :func:`smoothness` and :func:`weight_norm`.
    """
    T, (c_npg, c_bar_off) = _rounds(T, n_actions), _coefficients(c_npg, c_bar_off)
    left = 1 - validate.discount_factor(discount, None)
    beta, W = validate.positive("beta", beta), validate.positive("W", W)
    descent = math.sqrt(2 * beta * W**2 * T * math.log(n_actions)) / left
    if hac_weight(T, eps_be) == 1:
        return descent + 350 / left**2 * math.sqrt(min(c_npg, c_bar_off**2) * T)
    return descent + 56 / left**2 * math.sqrt(c_npg * T)


def hac_samples(
    eps: float, n_actions: int, discount: float, *, coverage: float, log_class: float, delta: float = 0.05
) -> float:
    r"""Order of the samples, online and offline each, that Theorem 1 asks for a gap of :math:`\varepsilon`.

    .. math:: (\log A+C)^3\varepsilon^{-6}(1-\gamma)^{-14}\log\tfrac{2|\mathcal F|}\delta,
              \qquad C=\min\{C_{npg},C_{off}^2\}\text{ or, without completeness, }C_{npg};

    the constant in front is not stated.
    """
    eps, left = validate.positive("eps", eps), 1 - validate.discount_factor(discount, None)
    log_ratio = math.log(2 / validate.positive("delta", delta)) + validate.non_negative(
        "log_class", log_class
    )
    width = math.log(validate.positive_integer("n_actions", n_actions)) + validate.real("coverage", coverage)
    return width**3 / eps**6 / left**14 * log_ratio


def natural_step(T: int, n_actions: int, *, beta: float, W: float) -> float:
    r"""Theorem 2's step :math:`\eta=\sqrt{2\log A/(\beta W^2T)}`."""
    T = _rounds(T, n_actions)
    beta, W = validate.positive("beta", beta), validate.positive("W", W)
    return math.sqrt(2 * math.log(n_actions) / (beta * W**2 * T))


def smoothness(features: Any) -> float:
    r"""Least :math:`\beta` for which :math:`\log\pi_\theta` of a log-linear policy [S, A, dim] is :math:`\beta`-smooth.

    Its Hessian is :math:`-\mathrm{Cov}_\pi\phi(s,\cdot)`, whose norm is at most a quarter of the squared distance of
    the two farthest actions, and is that for a policy that takes only those: ½ for a tabular softmax.
    """
    phi = validate.real_array("features", features, (None, None, None), "[S, A, dim]")
    apart = ((phi[:, :, None] - phi[:, None]) ** 2).sum(-1)
    return float(apart.max() / 4)


def weight_norm(actions: Any, low: float, high: float) -> float:
    r"""Least W such that :math:`w^\top\nabla\log\pi=f-f(s,\pi)` is solved by some :math:`\|w\|\le W`, f in [low, high].

    For a tabular softmax, where the shortest w is f centred over the actions of each state: k of them at the top and
    the rest at the bottom, :math:`\|w\|^2=\sum_s\max_k\frac{k(A_s-k)}{A_s}(\text{high}-\text{low})^2`.

    Parameters
    ----------
    actions : bool array [S, A]
        Permitted actions, of the states where decisions are made.
    low, high : float
    """
    permitted = np.asarray(actions, dtype=bool)
    if permitted.ndim != 2 or not permitted.any():
        raise ValueError(f"actions must be a boolean array [S, A], got shape {list(permitted.shape)}")
    spread = validate.finite("high", high) - validate.finite("low", low)
    count = permitted.sum(-1)
    top = count // 2
    return float(spread * np.sqrt((top * (count - top) / np.maximum(count, 1)).sum()))


def _rounds(T: int, n_actions: int) -> int:
    validate.positive_integer("n_actions", n_actions)
    return validate.positive_integer("T", T)


def _coefficients(*values: float) -> list[float]:
    for value in values:
        if not validate.real("a coverage coefficient", value) >= 0:
            raise ValueError(f"a coverage coefficient must be at least 0, got {value}")
    return [float(value) for value in values]
