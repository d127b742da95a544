r"""The box :math:`c_l\le\rho\le c_h` that bounds how much a policy may change, action by action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.mdp import validate


@dataclass(frozen=True)
class RatioBox:
    r"""Bounds on the ratio :math:`\rho(s,a)=\pi(a|s)/\pi_0(a|s)` of a new policy to the old one.

    Parameters
    ----------
    low, high : float
        :math:`0\le c_l<1<c_h`, so that :math:`\rho=1` (no change) lies inside.

    Raises
    ------
    TypeError, ValueError
        If a bound is not a number or on the wrong side of one.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = validate.finite("c_l", self.low), validate.finite("c_h", self.high)
        if low >= 1:
            raise ValueError(f"c_l must be below 1, or no policy but the old one is allowed, got {low:g}")
        if low < 0:
            raise ValueError(f"c_l must be at least 0, as ratios of probabilities are, got {low:g}")
        if high <= 1:
            raise ValueError(f"c_h must be above 1, or no policy but the old one is allowed, got {high:g}")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def symmetric(cls, epsilon: float) -> RatioBox:
        r""":math:`1-\epsilon\le\rho\le1+\epsilon` with :math:`0<\epsilon<1`."""
        epsilon = validate.positive("epsilon", epsilon)
        if epsilon >= 1:
            raise ValueError(
                f"epsilon must be below 1, where the lower bound 1 - epsilon reaches zero, got {epsilon:g}; "
                "bounds that are not symmetric go to RatioBox(low, high)"
            )
        return cls(1 - epsilon, 1 + epsilon)

    @classmethod
    def elite(cls, q: float) -> RatioBox:
        r""":math:`0\le\rho\le1/q`: the unregularised optimum is then the cross-entropy method's elite.

        The best share q of the old policy's mass, renormalised (:math:`\pi_0\mathbf 1[Q\ge\text{quantile}]/q`).
        """
        q = validate.positive("q", q)
        if q >= 1:
            raise ValueError(f"q must be a share of elites in (0, 1), got {q:g}")
        return cls(0.0, 1 / q)

    @property
    def down(self) -> float:
        """How far the ratio may fall below one, 1 - c_l."""
        return 1 - self.low

    @property
    def up(self) -> float:
        """How far the ratio may rise above one, c_h - 1."""
        return self.high - 1

    @property
    def epsilon(self) -> float:
        """Half the width of a symmetric box; ValueError for a box that is not symmetric."""
        if abs(self.up - self.down) > 1e-12:
            raise ValueError(f"epsilon belongs to a symmetric box, got [{self.low:g}, {self.high:g}]")
        return (self.high - self.low) / 2

    @property
    def share(self) -> float:
        r"""The :math:`\pi_0`-mass that can be raised to c_h when the rest falls to c_l; 1/2 if symmetric."""
        return self.down / (self.up + self.down)

    def excess(self, x: np.ndarray) -> np.ndarray:
        r""":math:`\rho-1` of the regularised optimum at :math:`x=(Q-\mu)/\lambda`; exactly zero at x = 0.

        .. math:: c_l+(c_h-c_l)\,\sigma(x+\log\kappa)-1=\frac{(1-c_l)(c_h-1)(e^x-1)}{(c_h-1)+(1-c_l)e^x},
                  \qquad\kappa=\frac{1-c_l}{c_h-1},

        which is :math:`\epsilon\tanh(x/2)` in a symmetric box. Written with :math:`e^{-|x|}`, it neither
        overflows nor cancels, however small or large the temperature.
        """
        small = np.exp(-np.abs(x))
        rise = -np.expm1(-np.abs(x))
        up, down = self.up, self.down
        return np.where(
            x >= 0, up * (down * rise / (down + up * small)), -down * (up * rise / (up + down * small))
        )
