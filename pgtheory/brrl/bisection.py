"""Roots of decreasing functions by bisection, to the last bits and for a whole batch at once."""

from collections.abc import Callable

import numpy as np

EPS = np.finfo(np.float64).eps


def bisect(
    above: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    floor: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Where ``above`` turns from true to false on [low, high], for every entry of the batch.

    Stops when an interval is within rounding of its ends, or of ``floor`` where these are smaller: the
    scale below which a difference does not matter.
    """
    while True:
        middle = low + (high - low) / 2
        scale = np.maximum(np.maximum(np.abs(low), np.abs(high)), floor)
        if not ((high - low > EPS / 2 * scale) & (low < middle) & (middle < high)).any():
            return middle
        left = above(middle)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
