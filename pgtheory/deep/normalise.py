"""Running moments, for those who want observations or rewards on a common scale. Off by default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EPSILON = 1e-8


@dataclass
class Moments:
    """Mean and variance of everything seen so far, in float64 (Chan et al. 1979)."""

    mean: np.ndarray
    variance: np.ndarray
    count: float = 1e-4

    @classmethod
    def start(cls, size: int) -> Moments:
        """Mean 0 and variance 1, with next to no weight."""
        return cls(np.zeros(size), np.ones(size))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything a checkpoint must hold."""
        return {"mean": self.mean, "variance": self.variance, "count": np.array(self.count)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what ``arrays`` returned."""
        self.mean, self.variance, self.count = arrays["mean"], arrays["variance"], float(arrays["count"])

    def update(self, rows: np.ndarray) -> None:
        """Take in rows [n, size]."""
        n, mean, variance = len(rows), rows.mean(0, dtype=np.float64), rows.var(0, dtype=np.float64)
        total, gap = self.count + n, mean - self.mean
        self.variance = (self.variance * self.count + variance * n + gap**2 * self.count * n / total) / total
        self.mean = self.mean + gap * n / total
        self.count = total

    @property
    def scale(self) -> np.ndarray:
        """Reciprocal standard deviations [size]."""
        return 1 / np.sqrt(self.variance + EPSILON)


class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return, at most 10 in absolute value."""

    def __init__(self, n: int, discount: float) -> None:
        self.moments, self.returns, self.discount = Moments.start(1), np.zeros(n), discount

    def __call__(self, rewards: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Rewards [T, N] of a rollout, scaled by what is known after it; ``ended`` [T, N] restarts the sums."""
        seen = np.empty_like(rewards)
        for t in range(len(rewards)):
            self.returns = self.returns * self.discount + rewards[t]
            seen[t] = self.returns
            self.returns = np.where(ended[t], 0.0, self.returns)
        self.moments.update(seen.reshape(-1, 1))
        return np.clip(rewards * self.moments.scale, -10, 10)
