r"""The optimal step of one state in other trust regions, to set beside the ratio box.

All maximise :math:`\mathbb E_{\pi_0}[\rho Q]` subject to :math:`\mathbb E_{\pi_0}\rho=1`, :math:`\rho\ge0` and one
constraint on the size of the step, whose ``radius`` [...] broadcasts against the batch axes of Q: a row of
radii and one state give a whole curve. Where the constraint is slack all mass is on the best actions.
"""

from typing import Any

import numpy as np

from pgtheory.brrl.atoms import atoms
from pgtheory.brrl.bisection import bisect
from pgtheory.brrl.knapsack import leaders, served
from pgtheory.brrl.optimum import Optimum
from pgtheory.mdp import validate

COLDEST = np.finfo(np.float64).tiny  # a radius just below what the best actions need leads there
TIES = 1e-12  # neighbouring values that differ by less, relative to the largest |Q|, are equal


def exponential_tilt(Q: Any, weights: Any, temperature: float) -> Optimum:
    r"""KL penalty: :math:`\rho=e^{(Q-\tau)/\lambda}`, the best for
    :math:`\mathbb E_{\pi_0}[\rho Q]-\lambda\,\mathrm{KL}(\pi\|\pi_0)`.

    The threshold is :math:`\tau=\lambda\log\mathbb E_{\pi_0}e^{Q/\lambda}`.
    """
    Q, weights = atoms(Q, weights)
    scale = np.full(Q.shape[:-1], validate.positive("temperature", temperature))
    return Optimum.of(Q, weights, *_tilted(Q, weights, scale))


def kl_ball(Q: Any, weights: Any, radius: Any) -> Optimum:
    r"""The exponential tilt at which :math:`\mathrm{KL}(\pi\|\pi_0)` [nats] reaches ``radius``.

    Slack from :math:`-\log p_{\max}` on, with :math:`p_{\max}` the old mass of the best actions.
    """
    Q, weights, radius = _sized(Q, weights, radius)
    greedy, mass = _greedy(Q, weights)
    # KL of a tilt is at most (range / temperature)^2 / 8, by Hoeffding's lemma.
    highest = (Q.max(-1) - Q.min(-1)) / np.sqrt(8 * radius)

    def too_far(temperature: np.ndarray) -> np.ndarray:
        ratio, _ = _tilted(Q, weights, temperature)
        entropic = ratio * np.log(np.where(ratio > 0, ratio, 1.0))
        return (weights * entropic).sum(-1) > radius

    slack = radius >= -np.log(mass)
    found = bisect(too_far, np.where(slack, 1.0, COLDEST), np.where(slack, 1.0, highest))
    ratio, threshold = _tilted(Q, weights, found)
    return Optimum.of(
        Q, weights, np.where(slack[..., None], greedy, ratio), np.where(slack, Q.max(-1), threshold)
    )


def chi_square_ball(Q: Any, weights: Any, radius: Any) -> Optimum:
    r"""The variance ball :math:`\mathbb E_{\pi_0}(\rho-1)^2\le\delta` (R²VPO, arXiv:2601.03320; form derived here).

    The *linear* tilt :math:`\rho=1+\sqrt\delta A/\mathrm{sd}` as long as it is positive, with gain
    :math:`\sqrt\delta\,\mathrm{sd}`; then :math:`\rho=[1+(A-\nu)/2\lambda]_+` by bisection; slack from
    :math:`1/p_{\max}-1` on. The threshold is :math:`V+\nu`, where the ratio is one.
    """
    Q, weights, radius = _sized(Q, weights, radius)
    greedy, mass = _greedy(Q, weights)
    mean = (weights * Q).sum(-1)
    A = Q - mean[..., None]
    sd = np.sqrt((weights * A**2).sum(-1))
    slack = radius >= 1 / mass - 1
    linear = np.where(slack, 1.0, sd / np.sqrt(radius))  # 2 lambda

    def too_far(scale: np.ndarray) -> np.ndarray:
        ratio, _ = _clipped(A, weights, scale)
        return (weights * (ratio - 1) ** 2).sum(-1) > radius

    clipped = ~slack & (linear + A.min(-1) < 0)
    # Clipping is a projection, which brings the ratio closer to one: never too far at the linear scale.
    scale = bisect(too_far, np.where(clipped, 0.0, linear), linear)
    ratio, nu = _clipped(A, weights, scale)
    return Optimum.of(
        Q, weights, np.where(slack[..., None], greedy, ratio), np.where(slack, Q.max(-1), mean + nu)
    )


def total_variation_ball(Q: Any, weights: Any, radius: Any) -> Optimum:
    r"""The ball :math:`\tfrac12\mathbb E_{\pi_0}|\rho-1|\le\delta`: mass moves from the worst actions to the best.

    The best share what arrives in proportion to their old mass, and so do tied actions what they lose. The
    threshold is the value of the last action that loses mass.
    """
    Q, weights, radius = _sized(Q, weights, radius)
    greedy, best = _greedy(Q, weights)
    slack = (radius >= 1 - best)[..., None]
    lost = np.where(greedy > 0, 0.0, served(-Q, weights, radius, TIES))
    ratio = np.where(slack, greedy, 1 - lost + radius[..., None] * greedy)
    return Optimum.of(Q, weights, ratio, np.where(lost > 0, Q, Q.min(-1, keepdims=True)).max(-1))


def _sized(Q: Any, weights: Any, radius: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checked values and weights [..., A] and radii [...], broadcast against each other."""
    Q, weights = atoms(Q, weights)
    radius = validate.numbers("radius", radius).astype(np.float64)
    if not (np.isfinite(radius) & (radius > 0)).all():
        raise ValueError(f"radius must be positive and finite, got {radius.min():g}")
    try:
        batch = np.broadcast_shapes(Q.shape[:-1], radius.shape)
    except ValueError:
        raise ValueError(
            f"radius must broadcast to the batch axes of Q, {list(Q.shape[:-1])}, got {list(radius.shape)}"
        ) from None
    full = (*batch, Q.shape[-1])
    return np.broadcast_to(Q, full), np.broadcast_to(weights, full), np.broadcast_to(radius, batch)


def _greedy(Q: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ratios [..., A] of the old policy restricted to its best actions, and their mass [...]."""
    best = (weights > 0) & leaders(Q, weights, TIES)
    mass = np.where(((weights > 0) == best).all(-1), 1.0, np.where(best, weights, 0.0).sum(-1))
    return best / mass[..., None], mass


def _tilted(Q: np.ndarray, weights: np.ndarray, temperature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Ratios proportional to :math:`e^{Q/\lambda}`, and the value where the ratio is one."""
    top = Q.max(-1, keepdims=True)
    with np.errstate(over="ignore"):
        growth = np.exp((Q - top) / temperature[..., None])
    total = (weights * growth).sum(-1)
    return growth / total[..., None], top[..., 0] + temperature * np.log(total)


def _clipped(A: np.ndarray, weights: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Ratios :math:`[1+(A-\nu)/\text{scale}]_+` and :math:`\nu` such that they average to one.

    As in projections onto a simplex: the support is the longest run of best actions that leaves its own
    last one a positive ratio.
    """
    order = np.argsort(-A, axis=-1, kind="stable")
    a, w = np.take_along_axis(A, order, -1), np.take_along_axis(weights, order, -1)
    mass = np.cumsum(w, -1)
    count = mass > 0
    safe = np.where(count, mass, 1.0)
    nu = np.cumsum(w * a, -1) / safe + scale[..., None] * (1 - 1 / safe)
    kept = count & (scale[..., None] + a - nu > 0)
    last = np.where(kept, np.arange(A.shape[-1]), 0).max(-1)
    nu = np.take_along_axis(nu, last[..., None], -1)
    return np.maximum(0.0, 1 + (A - nu) / scale[..., None]), nu[..., 0]
