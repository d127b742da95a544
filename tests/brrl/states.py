"""Random single-state problems, with ties, skewed weights and actions that the old policy never takes."""

import numpy as np

from pgtheory.brrl import RatioBox

Q = np.array([1.0, 2.0, 4.0])
PI0 = np.array([0.2, 0.5, 0.3])
BOX = RatioBox.symmetric(0.2)
SKEWED = RatioBox(0.8, 1.28)


def random_state(rng, unused=True):
    """Values [A] (tied in every other problem) and weights [A]."""
    A = int(rng.integers(2, 9))
    values = rng.integers(-2, 3, A).astype(float) if rng.random() < 0.5 else rng.normal(size=A)
    weights = rng.dirichlet(np.ones(A)) if rng.random() < 0.7 else np.full(A, 1 / A)
    if unused and A > 2 and rng.random() < 0.3:
        weights[rng.integers(A)] = 0.0
    return values, weights / weights.sum()


def random_box(rng):
    """A symmetric box in every other problem."""
    if rng.random() < 0.5:
        return RatioBox.symmetric(rng.uniform(0.05, 0.95))
    return RatioBox(rng.uniform(0, 0.95), 1 + rng.uniform(0.05, 3))
