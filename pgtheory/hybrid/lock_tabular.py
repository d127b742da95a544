r"""The tabular combination lock: behaviour, data and success, for the smallest reproduction of the paper's curve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pgtheory.hybrid.layers import Counts, Layers
from pgtheory.mdp import make, validate

PRIZE, FAILURE = 1.0, 0.05  # what an episode returns on average
CONSOLATION = 0.1  # paid with probability one half


def tabular_lock(horizon: int, seed: int = 0, **options: Any) -> Layers:
    """A lock whose failures pay .1 by the flip of a coin; options as in ``make("diabolical-lock")``."""
    return Layers(make("diabolical-lock", horizon=horizon, seed=seed, **options), CONSOLATION)


def success_probability(lock: Layers, pi: np.ndarray) -> np.ndarray:
    """Exact probability [...] that policies [..., H, n, A] open the lock."""
    return success_of_return(lock.expected_return(pi))


def success_of_return(J: np.ndarray) -> np.ndarray:
    """The probability of success that gives this expected return: an episode pays 1, or .05 on average."""
    return (J - FAILURE) / (PRIZE - FAILURE)


def behaviour(lock: Layers, epsilon: float | None = None) -> np.ndarray:
    r"""The policy [H, 3, A] of the offline data: the right action, except uniform with probability :math:`\epsilon`.

    In the dead state it plays for good state 1.

    Parameters
    ----------
    lock : Layers
    epsilon : float, optional
        1 / H by default, which opens the lock in about a third of the episodes.
    """
    H, _, A = lock.shape
    epsilon = 1 / H if epsilon is None else validate.probability("epsilon", epsilon)
    right = np.empty((H, 3), int)
    right[:-1, :2] = lock.P[:, :2, :, :2].sum(-1).argmax(-1)
    right[-1, :2] = lock.r[-1, :2].argmax(-1)
    right[:, 2] = right[:, 1]
    return (1 - epsilon) * np.eye(A)[right] + epsilon / A


def collect(lock: Layers, episodes: int, seeds: Iterable[int], *, epsilon: float | None = None) -> Counts:
    """Offline data of the behaviour, for each seed its own."""
    rngs = [np.random.default_rng([seed, 0]) for seed in seeds]
    pi = np.broadcast_to(behaviour(lock, epsilon), (len(rngs), *lock.shape))
    episodes = validate.positive_integer("episodes", episodes)
    return Counts.of(lock.draw(np.ascontiguousarray(pi), episodes, rngs), lock)
