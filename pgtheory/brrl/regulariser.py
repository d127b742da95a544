r"""The Fermi–Dirac regulariser that keeps the optimal ratio inside its box, and the soft median.

The paper describes H in words; the unique natural function with those properties, and its version for
boxes that are not symmetric, are derived here.
"""

from typing import Any

import numpy as np

from pgtheory.brrl.atoms import atoms
from pgtheory.brrl.box import RatioBox
from pgtheory.brrl.optimum import optimal_ratio
from pgtheory.mdp import validate


def fermi_dirac(ratio: Any, box: RatioBox) -> np.ndarray:
    r"""The regulariser H of a symmetric box, and its extension to others: ``relative_fermi_dirac`` plus a constant.

    .. math:: H(\rho)=(\rho-1+\epsilon)\log(\rho-1+\epsilon)+(1+\epsilon-\rho)\log(1+\epsilon-\rho)

    Least at :math:`\rho=1` with :math:`2\epsilon\log\epsilon`, largest at the ends with
    :math:`2\epsilon\log2\epsilon`, with infinite slope there; infinite outside.
    """
    least = box.down * np.log(box.down) + box.up * np.log(box.up)
    return relative_fermi_dirac(ratio, box) + least


def relative_fermi_dirac(ratio: Any, box: RatioBox) -> np.ndarray:
    r"""The regulariser with value and slope zero at :math:`\rho=1` in any box; infinite outside.

    .. math:: H'(\rho)=(\rho-c_l)\log\frac{\rho-c_l}{1-c_l}+(c_h-\rho)\log\frac{c_h-\rho}{c_h-1}
    """
    validate.instance_of("box", box, RatioBox)
    rho = validate.numbers("ratio", ratio).astype(np.float64)
    inside = (rho >= box.low) & (rho <= box.high)
    rho = np.where(inside, rho, 1.0)
    value = _entropic(rho - box.low, box.down) + _entropic(box.high - rho, box.up)
    return np.where(inside, value, np.inf)


def regularised_value(ratio: Any, Q: Any, weights: Any, box: RatioBox, temperature: float) -> np.ndarray:
    r"""What the optimum maximises, :math:`\mathbb E_{\pi_0}[\rho A-\lambda H(\rho)]` [...], at any ratios [..., A].

    With the mean advantage :math:`A=Q-\mathbb E_{\pi_0}Q` and H from ``fermi_dirac``; :math:`-\infty` where
    an action that has weight is outside the box. Whether the ratios average to one is not checked.
    """
    Q, weights = atoms(Q, weights)
    temperature = validate.non_negative("temperature", temperature)
    rho, cost = validate.numbers("ratio", ratio), fermi_dirac(ratio, box)
    outside = np.isinf(cost) & (weights > 0)
    A = Q - (weights * Q).sum(-1, keepdims=True)
    value = (weights * (rho * A - temperature * np.where(np.isinf(cost), 0.0, cost))).sum(-1)
    return np.where(outside.any(-1), -np.inf, value)


def soft_absolute(x: Any) -> np.ndarray:
    r""":math:`g(x)=\log(e^{x/2}+e^{-x/2})=\mathrm{softplus}(x)-x/2`, whose slope is :math:`\tfrac12\tanh(x/2)`."""
    size = np.abs(validate.numbers("x", x).astype(np.float64))
    return size / 2 + np.log1p(np.exp(-size))


def soft_median(values: Any, weights: Any, temperature: float) -> np.ndarray:
    r""":math:`\arg\min_u\mathbb E\,g((Q-u)/\lambda)` [...] of weighted values [..., A].

    The threshold of every symmetric box: from the mean (:math:`\lambda\to\infty`) to the median
    (:math:`\lambda=0`).
    """
    return optimal_ratio(values, weights, RatioBox.symmetric(0.5), temperature).threshold


def _entropic(x: np.ndarray, scale: float) -> np.ndarray:
    r""":math:`x\log(x/scale)`, zero at zero."""
    return x * np.log(np.where(x > 0, x, scale) / scale)
