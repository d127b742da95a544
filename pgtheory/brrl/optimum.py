r"""The analytic optimum of bounded-ratio policy improvement (arXiv:2604.18578, Theorem 4.1).

For every state the new policy is :math:`\pi^*=\rho^*\pi_0`, where :math:`\rho^*` maximises
:math:`\mathbb E_{a\sim\pi_0}[\rho A-\lambda H(\rho)]` over :math:`c_l\le\rho\le c_h`, :math:`\mathbb E\rho=1`:

.. math::
   \rho^*=1+\epsilon\tanh\Big(\frac{Q-\mu}{2\lambda}\Big),\qquad
   \rho^*=c_l+(c_h-c_l)\,\sigma\Big(\frac{Q-\mu}\lambda+\log\frac{1-c_l}{c_h-1}\Big)

in a symmetric and in any other box; the second is derived here, the paper's display was not visible. The
threshold :math:`\mu` makes :math:`\mathbb E\rho^*=1`. Without regularisation see ``knapsack``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.brrl.atoms import atoms
from pgtheory.brrl.bisection import EPS, bisect
from pgtheory.brrl.box import RatioBox
from pgtheory.brrl.knapsack import fill, upper_quantile
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best new policy of every state under a constraint on its ratio to the old one.

    Attributes
    ----------
    advantage : array [..., A]
        Values less their mean under ``weights``; zero where these are.
    weights : array [..., A]
        The old policy, or normalised weights of samples from it.
    ratio : array [..., A]
        Optimal ratios; one where ``weights`` is zero, where the policy stays zero.
    threshold : array [...]
        In units of Q: values above it gain probability, values below lose it.
    """

    advantage: np.ndarray
    weights: np.ndarray
    ratio: np.ndarray
    threshold: np.ndarray

    @classmethod
    def of(cls, Q: np.ndarray, weights: np.ndarray, ratio: np.ndarray, threshold: np.ndarray) -> Optimum:
        """From checked values and weights (``atoms``) and the ratios found for them."""
        counts = weights > 0
        advantage = np.where(counts, Q - (weights * Q).sum(-1, keepdims=True), 0.0)
        return cls(advantage, weights, np.where(counts, ratio, 1.0), threshold)

    @property
    def policy(self) -> np.ndarray:
        r"""The new policy :math:`\rho\,\pi_0` [..., A]."""
        return self.ratio * self.weights

    @property
    def gain(self) -> np.ndarray:
        r"""Surrogate gain :math:`\mathbb E_{\pi_0}[\rho A]` [...]."""
        return (self.weights * (self.ratio - 1) * self.advantage).sum(-1)

    @property
    def total_variation(self) -> np.ndarray:
        r"""Size of the step as :math:`\tfrac12\mathbb E_{\pi_0}|\rho-1|` [...]."""
        return (self.weights * np.abs(self.ratio - 1)).sum(-1) / 2

    @property
    def chi_square(self) -> np.ndarray:
        r"""Size of the step as the variance of the ratio :math:`\mathbb E_{\pi_0}(\rho-1)^2` [...]."""
        return (self.weights * (self.ratio - 1) ** 2).sum(-1)

    @property
    def kl(self) -> np.ndarray:
        r"""Size of the step as :math:`\mathrm{KL}(\pi\|\pi_0)=\mathbb E_{\pi_0}[\rho\log\rho]` [...]."""
        rho = np.where(self.ratio > 0, self.ratio, 1.0)
        return (self.weights * rho * np.log(rho)).sum(-1)

    @property
    def reverse_kl(self) -> np.ndarray:
        r"""Size of the step as :math:`\mathrm{KL}(\pi_0\|\pi)` [...]; infinite where an action is dropped."""
        with np.errstate(divide="ignore"):
            return (self.weights * -np.log(self.ratio)).sum(-1)


def optimal_ratio(
    Q: Any, weights: Any, box: RatioBox, temperature: float = 0.0, *, tie_tolerance: float = 1e-12
) -> Optimum:
    r"""The ratios :math:`\rho^*` that maximise the bounded-ratio surrogate, for all states at once.

    Ratios are precise to rounding at every temperature. The threshold is too, except where values many
    temperatures apart balance: then it hardly matters and is known to about one temperature.
    With weighted samples of a continuous policy in the place of actions the result converges to the
    continuous optimum as the sample grows.

    Parameters
    ----------
    Q : array [..., A]
        Action values (advantages do as well: a constant changes the threshold only).
    weights : array [..., A]
        The old policy :math:`\pi_0`, or weights of samples; normalised here over the last axis. Where a
        weight is zero the value may be anything and has no influence.
    box : RatioBox
    temperature : float
        :math:`\lambda\ge0` in units of Q; zero solves the linear programme, with equal ratios in a tie.
    tie_tolerance : float
        At zero temperature, neighbouring values of a state are tied if they differ by at most this many
        times its largest :math:`|Q|`.

    Raises
    ------
    TypeError, ValueError
        If ``box`` is no RatioBox, a weight is negative or not finite, a row has no weight, a value with
        weight is not finite, or ``temperature`` or ``tie_tolerance`` is negative.
    """
    Q, weights = atoms(Q, weights)
    validate.instance_of("box", box, RatioBox)
    temperature = validate.non_negative("temperature", temperature)
    ties = validate.non_negative("tie_tolerance", tie_tolerance)
    found = _regularised(Q, weights, box, temperature) if temperature > 0 else fill(Q, weights, box, ties)
    return Optimum.of(Q, weights, *found)


def _regularised(
    Q: np.ndarray, weights: np.ndarray, box: RatioBox, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ratios [..., A] and threshold [...] at a positive temperature.

    The threshold is sought as an offset in units of the temperature from the value to which it tends at
    temperature zero. So it is resolved even where it differs from that value by less than rounding, which
    is what decides the ratios within a tie. Where the weights balance to rounding on a whole interval its
    middle is taken.
    """
    pivot = upper_quantile(Q, weights, box.share)
    with np.errstate(over="ignore"):
        z = np.clip((Q - pivot[..., None]) / temperature, -1e300, 1e300)
    low, high = z.min(-1), z.max(-1)
    floor = np.minimum(1.0, high - low)

    def edge(side: int) -> np.ndarray:
        def above(y: np.ndarray) -> np.ndarray:
            terms = weights * box.excess(z - y[..., None])
            return terms.sum(-1) > side * 4 * EPS * np.abs(terms).sum(-1)

        return bisect(above, low, high, floor)

    y = (edge(1) + edge(-1)) / 2
    ratio = np.clip(1 + box.excess(z - y[..., None]), box.low, box.high)
    return ratio, pivot + temperature * y
