r"""The unregularised problem of one state as a fractional knapsack.

Everybody starts at :math:`c_l`; the missing mass :math:`1-c_l` goes to the highest values first, and each
group of equal values absorbs up to :math:`c_h-c_l` times its own mass. Filling stops at the upper quantile
with :math:`\Pr_{\pi_0}(Q>\mu)\le\frac{1-c_l}{c_h-c_l}\le\Pr_{\pi_0}(Q\ge\mu)`, the median of a symmetric box.
Within a tie all get the same ratio, which is the limit of the regularised optimum as its temperature vanishes.
"""

import numpy as np

from pgtheory.brrl.box import RatioBox

SAME_MASS = 1e-12  # sums of probabilities that differ by less are equal


def fill(Q: np.ndarray, weights: np.ndarray, box: RatioBox, ties: float) -> tuple[np.ndarray, np.ndarray]:
    """Optimal ratios [..., A] and the threshold [...] where filling stops.

    A group filled to the brim leaves a whole interval of thresholds down to the next lower value; its
    middle is returned, the limit of the regularised threshold (as the median of an even number of values).
    """
    share, part = box.share, served(Q, weights, np.array(box.share), ties)
    ratio = (1 - part) * box.low + part * box.high
    _, Q, _, through = _ranked(Q, weights, ties)
    return ratio, (_first(Q, through >= share - SAME_MASS) + _first(Q, through > share + SAME_MASS)) / 2


def served(Q: np.ndarray, weights: np.ndarray, share: np.ndarray, ties: float) -> np.ndarray:
    """Which part [..., A] of each action is among the best ``share`` [...] of the weight; alike within a tie."""
    order, _, before, through = _ranked(Q, weights, ties)
    mass, part = through - before, np.empty(Q.shape)
    filled = np.divide(share[..., None] - before, mass, out=np.ones_like(mass), where=mass > 0)
    np.put_along_axis(part, order, np.clip(filled, 0, 1), -1)
    return part


def leaders(Q: np.ndarray, weights: np.ndarray, ties: float) -> np.ndarray:
    """Which actions [..., A] are in the tie of the highest value."""
    order, _, before, _ = _ranked(Q, weights, ties)
    best = np.empty(Q.shape, bool)
    np.put_along_axis(best, order, before == 0, -1)
    return best


def upper_quantile(Q: np.ndarray, weights: np.ndarray, share: float) -> np.ndarray:
    """The largest value [...] such that it and those above have at least this share of the weight."""
    _, Q, _, through = _ranked(Q, weights, 0.0)
    return _first(Q, through >= share)


def _ranked(
    Q: np.ndarray, weights: np.ndarray, ties: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Order of falling values, values so ordered, and the mass above the tie of each, without and with the tie.

    Neighbours in this order are tied if they differ by at most ``ties`` times the row's largest magnitude.
    """
    order = np.argsort(-Q, axis=-1, kind="stable")
    Q, weights = np.take_along_axis(Q, order, -1), np.take_along_axis(weights, order, -1)
    mass = np.cumsum(weights, -1)
    width = ties * np.abs(Q).max(-1, keepdims=True)
    step = Q[..., :-1] - Q[..., 1:] > width
    edge = np.ones((*Q.shape[:-1], 1), bool)
    here = np.arange(Q.shape[-1])
    first = np.maximum.accumulate(np.where(np.concatenate([edge, step], -1), here, 0), -1)
    last = np.where(np.concatenate([step, edge], -1), here, Q.shape[-1])
    last = np.minimum.accumulate(last[..., ::-1], -1)[..., ::-1]
    above = np.concatenate([np.zeros_like(mass[..., :1]), mass[..., :-1]], -1)
    return order, Q, np.take_along_axis(above, first, -1), np.take_along_axis(mass, last, -1)


def _first(Q: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """The first value [...] in the order where ``reached``, or the last one of all."""
    where = np.where(reached.any(-1), reached.argmax(-1), Q.shape[-1] - 1)
    return np.take_along_axis(Q, where[..., None], -1)[..., 0]
