"""What a choice is made from: values and the old policy's weight of each, under any batch axes."""

from typing import Any

import numpy as np

from pgtheory.mdp import validate


def atoms(Q: Any, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and normalised weights [..., A], checked and broadcast against each other.

    Values of weight zero may be anything, NaN and infinities too: they are replaced by the smallest value
    that has weight, so that they are part of no tie, range or gap that was not there without them.

    Raises
    ------
    TypeError, ValueError
        If the arrays do not hold real numbers or do not broadcast, a weight is negative or not finite, all
        weights of a row are zero, or a value that has weight is not finite.
    """
    Q, weights = validate.numbers("Q", Q), validate.numbers("weights", weights)
    try:
        Q, weights = np.broadcast_arrays(Q, weights)
    except ValueError:
        raise ValueError(
            f"Q and weights must have shapes that broadcast to [..., A], got {list(Q.shape)} and {list(weights.shape)}"
        ) from None
    if Q.ndim == 0 or Q.size == 0:
        raise ValueError(f"Q must have shape [..., A] with at least one action, got {list(Q.shape)}")
    Q, weights = Q.astype(np.float64), weights.astype(np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any():
        worst = weights[~(np.isfinite(weights) & (weights >= 0))][0]
        raise ValueError(f"weights must be finite and non-negative, got {worst}")
    most = weights.max(-1, keepdims=True)
    if not most.all():
        row = [int(i) for i in np.argwhere(most[..., 0] == 0)[0]]
        raise ValueError(f"weights must have a positive sum, row {row} is all zeros")
    counts = weights > 0
    if not np.isfinite(Q[counts]).all():
        where = [int(i) for i in np.argwhere(counts & ~np.isfinite(Q))[0]]
        raise ValueError(f"Q must be finite where weights are positive, got Q{where} = {Q[tuple(where)]}")
    Q = np.where(counts, Q, np.where(counts, Q, np.inf).min(-1, keepdims=True))
    weights = weights / most  # first, so that the sum cannot overflow
    return Q, weights / weights.sum(-1, keepdims=True)
