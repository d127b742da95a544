r"""The guarantees of arXiv:2302.01734 evaluated for a given instance.

Theorems 1–3 are second-hand (third-party notes of the paper) and hide constants: :func:`guarantee` gives their shape.
Numbers that *bound* something come from the lemmas behind them, with every constant written out:
:func:`igt_error` (second-hand, with the suprema computed here), :func:`nharpg_error` (derived here) and
:func:`gap`, which feeds either into the recursion that the normalised ascent lemma and gradient domination give.

All use :math:`x_t=2/(t+2)`, one trajectory an evaluation, and the theory's steps :math:`\gamma_t=\bar\gamma x_t`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.theory.assumptions import domination_constants
from pgtheory.theory.constants import Constants
from pgtheory.theory.igt import supremum


@dataclass(frozen=True)
class Region:
    r"""What Assumptions 3 and 4 say on the region of parameters that the iterates visit.

    Parameters
    ----------
    mu_F : float
        Fisher-non-degeneracy, positive.
    eps_bias : float
        Transferred compatible error.
    M_g : float
        Bound on the norm of the score, positive.
    discount : float
    """

    mu_F: float
    eps_bias: float
    M_g: float
    discount: float

    def __post_init__(self) -> None:
        validate.positive("mu_F", self.mu_F)
        validate.non_negative("eps_bias", self.eps_bias)
        validate.positive("M_g", self.M_g)
        validate.discount_factor(self.discount, None)

    @property
    def floor(self) -> float:
        r""":math:`\sqrt{\varepsilon_{bias}}/(1-\gamma)`: the gap that is left however long one runs."""
        return self.eps_bias**0.5 / (1 - self.discount)

    @property
    def step(self) -> float:
        r""":math:`\bar\gamma=3M_g/\mu_F`, so that :math:`\gamma_t=6M_g/(\mu_F(t+2))`, of Theorems 1 and 3."""
        return 3 * self.M_g / self.mu_F

    def harpg_step(self, constants: Constants) -> float:
        r""":math:`\gamma_0` of Theorem 2, for :math:`\gamma_t=\gamma_0x_t^{1/2}`.

        .. math:: \gamma_0=\min\Big\{\frac1{8\sqrt6\,(L_g+\sigma_h+D_h\gamma^H)},
                  \frac{\sqrt2M_g}{\sqrt3\,\sigma_g\mu_F}\Big\}

        The notes print :math:`\sigma_g` for :math:`\sigma_h` in the first denominator; the units need the latter.
        """
        c = constants
        curvature = c.L_g + c.sigma_h + c.D_h * c.truncation
        return min(1 / (8 * 6**0.5 * curvature), (2 / 3) ** 0.5 * self.M_g / (c.sigma_g * self.mu_F))


@dataclass(frozen=True)
class Guarantee:
    r"""The shape :math:`O(\text{scale}/(T+1)^{\text{rate}})+\text{floor}` of a theorem.

    Attributes
    ----------
    method : str
    scale : float
        What stands in the O, whose own constant is not known.
    rate : float
    floor : float
    """

    method: str
    scale: float
    rate: float
    floor: float

    def after(self, T: Any, factor: float = 1.0) -> np.ndarray:
        """The shape after T iterations, with ``factor`` for the unknown constant."""
        T = np.asarray(validate.numbers("T", T), dtype=float)
        return factor * self.scale / (T + 1) ** self.rate + self.floor


def guarantee(theorem: int, region: Region, constants: Constants) -> Guarantee:
    """Theorem 1 (N-PG-IGT), 2 (HARPG) or 3 (N-HARPG) for a problem and a region."""
    validate.instance_of("region", region, Region)
    validate.instance_of("constants", constants, Constants)
    if theorem == 1:
        return Guarantee("N-PG-IGT", constants.sigma_g + constants.L_h, 2 / 5, region.floor)
    scale = constants.sigma_g + constants.L_g + constants.sigma_h
    if theorem == 2:
        return Guarantee("HARPG", scale, 1 / 2, 2 * region.floor)
    if theorem == 3:
        return Guarantee("N-HARPG", scale, 1 / 2, region.floor)
    raise ValueError(f"theorem must be 1, 2 or 3, got {theorem!r}")


def igt_error(
    t: Any, step: float, *, sigma_g: float, L_h: float, truncation: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    r"""Bound on :math:`\mathbb E\|d_t-\nabla J(\theta_t)\|` of N-PG-IGT at iterations t, whatever path it takes.

    .. math::
       2\sqrt{C(\tfrac85,\tfrac45)}\,\sigma_g\eta_t^{1/2}+C(\tfrac65,\tfrac45)L_h\gamma_t^2\eta_t^{-2}
       +2D_g\gamma^HC(0,\tfrac45)\eta_t^{-1}+D_h\gamma^HC(1,\tfrac45)\gamma_t\eta_t^{-1},\qquad\eta_t=x_t^{4/5}.

    Second-hand; C computed here (``igt.supremum``). Needs Assumption 2, without which there is no :math:`L_h`.

    Parameters
    ----------
    t : int or array
    step : float
        :math:`\bar\gamma` in :math:`\gamma_t=\bar\gamma x_t`.
    sigma_g, L_h : float
    truncation : pair of float
        :math:`D_g\gamma^H,D_h\gamma^H`; zero for the error about :math:`\nabla J_H`.
    """
    x, step = _x(t), validate.non_negative("step", step)
    eta, gamma = x**0.8, step * x
    noise = 2 * _ratio(1.6) ** 0.5 * validate.non_negative("sigma_g", sigma_g) * eta**0.5
    curvature = _ratio(1.2) * validate.non_negative("L_h", L_h) * (gamma / eta) ** 2
    first, second = truncation
    return noise + curvature + (2 * first * _ratio(0.0) + second * _ratio(1.0) * gamma) / eta


def nharpg_error(t: Any, step: float, *, sigma_g: float, sigma_h: float, L_g: float) -> np.ndarray:
    r"""Bound on :math:`\mathbb E\|d_t-\nabla J_H(\theta_t)\|^2` of N-HARPG at iterations t, whatever path it takes.

    .. math:: \frac{4[\sigma_g^2+\bar\gamma^2(\sigma_h^2+L_g^2)]}{t+2}

    Derived here, for :math:`\gamma_t=\bar\gamma x_t,\eta_t=x_t`, by induction on
    :math:`V_t\le(1-\eta_t)V_{t-1}+\eta_t^2C`. ``t`` and ``step`` as in :func:`igt_error`.
    """
    step = validate.non_negative("step", step)
    return 2 * _x(t) * (sigma_g**2 + step**2 * (sigma_h**2 + L_g**2))


def gap(
    region: Region,
    error: Any,
    start: float,
    *,
    L_g: float,
    step: float | None = None,
    truncation: float = 0.0,
) -> np.ndarray:
    r"""Bound on :math:`\delta_t=J^*-\mathbb EJ(\theta_t)`, t = 0, …, T [T + 1], with :math:`\gamma_t=\bar\gamma x_t`.

    .. math::
       \delta_{t+1}\le\Big(1-\frac{\sqrt{2\mu}\gamma_t}3\Big)\delta_t+\frac{8\gamma_t}3\mathbb E\|\hat e_t\|
       +\frac{L_g\gamma_t^2}2+\frac{\varepsilon'\gamma_t}3+\frac43\gamma_tD_g\gamma^H

    (second-hand, re-derived here). True while the iterates stay in the region.

    Parameters
    ----------
    region : Region
    error : array [T]
        Bounds on :math:`\mathbb E\|\hat e_t\|`: :func:`igt_error`, or the root of :func:`nharpg_error`.
    start : float
        :math:`\delta_0`.
    L_g : float
    step : float, optional
        :math:`\bar\gamma`; the theory's by default, at which the start is forgotten at once.
    truncation : float
        :math:`D_g\gamma^H`.
    """
    validate.instance_of("region", region, Region)
    errors = validate.real_array("error", error, (None,), "[T]")
    rate, relaxation = domination_constants(region.mu_F, region.eps_bias, region.M_g, region.discount)
    gamma = (region.step if step is None else validate.positive("step", step)) * _x(np.arange(len(errors)))
    kept = np.maximum(1 - rate * gamma / 3, 0.0)
    added = gamma / 3 * (8 * errors + relaxation + 4 * validate.non_negative("truncation", truncation))
    added += validate.non_negative("L_g", L_g) * gamma**2 / 2
    delta = [validate.non_negative("start", start)]
    for share, more in zip(kept, added):
        delta.append(share * delta[-1] + more)
    return np.array(delta)


def _x(t: Any) -> np.ndarray:
    t = np.asarray(validate.numbers("t", t), dtype=float)
    if not (t >= 0).all():
        raise ValueError(f"t must be non-negative, got {t.min()}")
    return 2 / (t + 2)


@lru_cache
def _ratio(p: float) -> float:
    """C(p, 4/5); the ratio tends to 1, so never less."""
    return max(1.0, supremum(p, 0.8, 10_000))
