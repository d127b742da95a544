"""What a step of many environments returns, and what every way of stepping them can do."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Transition:
    """One step of n environments.

    Attributes
    ----------
    observations : array [n, d], float32
        What the policy sees next: the first observation of a new episode where one ended.
    rewards : array [n], float64
    terminated, truncated : array [n], bool
        Whether the episode ended in a terminal state, or was cut off, as by a time limit; possibly both.
    final_observations : array [n, d], float32
        The true successor states; equal to ``observations`` where no episode ended.
    """

    observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_observations: np.ndarray


class Backend(Protocol):
    """A way of stepping: reads actions and seeds from a slab and writes there what comes of them."""

    def reset(self) -> None:
        """Start episodes from ``seeds`` and fill ``observations``."""

    def step(self) -> None:
        """Fill everything but these."""

    def close(self) -> None:
        """Let go of processes and memory."""
