"""What each decision of a trajectory is credited with."""

import numpy as np


def reward_to_go(
    rewards: np.ndarray, discount: float, weights: np.ndarray | None = None, *, baseline: bool = False
) -> np.ndarray:
    r""":math:`\Psi_t=\sum_{h\ge t}\gamma^hr_h` [seeds, n, H], discounted from time 0.

    Parameters
    ----------
    rewards : array [seeds, n, H]
    discount : float
    weights : array [seeds, n] or [seeds, n, H], optional
        Importance weights of whole trajectories, or per decision, multiplying the rewards.
    baseline : bool
        Subtract the mean over the seed's other trajectories at the same t, times the weight of the decision: so
        that what is subtracted has mean zero under importance weights too.

    Raises
    ------
    ValueError
        For weights of another shape, or a baseline with a single trajectory.
    """
    gains = rewards if weights is None else weighted(rewards, weights)
    discounted = gains * discount ** np.arange(rewards.shape[-1])
    psi = np.cumsum(discounted[..., ::-1], axis=-1)[..., ::-1]
    if not baseline:
        return psi
    n = psi.shape[1]
    if n < 2:
        raise ValueError(
            "baseline needs at least two trajectories a seed, got 1: it is the mean of the others"
        )
    others = (psi.sum(axis=1, keepdims=True) - psi) / (n - 1)
    return psi - (others if weights is None else weighted(others, weights))


def weighted(rewards: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``rewards`` [seeds, n, H] times weights [seeds, n] of whole trajectories, or per decision [seeds, n, H]."""
    weights = np.asarray(weights)
    if weights.shape not in (rewards.shape, rewards.shape[:2]):
        raise ValueError(
            f"weights must be [seeds, n] or [seeds, n, H] = {list(rewards.shape)}, got {list(weights.shape)}"
        )
    return rewards * (weights if weights.ndim == 3 else weights[..., None])
