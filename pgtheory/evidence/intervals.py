"""Intervals: how far an estimate can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Seed = int | np.random.Generator

_BATCH = 4_000_000  # numbers held at once while resampling


@dataclass(frozen=True)
class Estimate:
    """A number, or an array of numbers, with its confidence interval.

    Parameters
    ----------
    value, low, high
        Floats, or arrays of one shape.
    n
        Seeds (points, for a fit without seeds) that it rests on; diverged runs are included.
    level
        Confidence level of ``[low, high]``.
    diverged
        Runs that diverged and entered as the worst value.
    """

    value: Any
    low: Any
    high: Any
    n: int
    level: float
    diverged: int = 0

    def __str__(self) -> str:
        if np.ndim(self.value):
            return repr(self)
        lost = f", {self.diverged} diverged" if self.diverged else ""
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}] ({self.level:.0%}, n = {self.n}{lost})"


def bootstrap(
    samples: tuple[np.ndarray, ...],
    statistic: Callable[..., Any],
    level: float,
    rng: Seed,
    resamples: int,
    diverged: int = 0,
) -> Estimate:
    """Percentile interval of ``statistic(*samples, axis)``, whole rows of all samples resampled together."""
    from scipy import stats

    _check_level(level)
    with np.errstate(invalid="ignore"):  # SciPy's own interval, unused here, subtracts infinities
        drawn = stats.bootstrap(
            samples,
            statistic,
            axis=0,
            vectorized=True,
            paired=len(samples) > 1,
            method="percentile",
            n_resamples=resamples,
            batch=max(1, _BATCH // samples[0].size),
            random_state=np.random.default_rng(rng),
        ).bootstrap_distribution
    # order statistics, outward: interpolating between a finite value and infinity would give NaN
    low = np.quantile(drawn, (1 - level) / 2, axis=-1, method="lower")
    high = np.quantile(drawn, (1 + level) / 2, axis=-1, method="higher")
    value = statistic(*samples, axis=0)
    return Estimate(_plain(value), _plain(low), _plain(high), len(samples[0]), level, diverged)


def least_squares(x: np.ndarray, y: np.ndarray, level: float) -> Estimate:
    """Slope of y against x by ordinary least squares, with its t interval."""
    from scipy.stats import t

    _check_level(level)
    n, centred = len(x), x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residual = y - y.mean() - slope * centred
    error = math.sqrt(residual @ residual / (n - 2) / (centred @ centred))
    half = float(t.ppf((1 + level) / 2, n - 2)) * error
    return Estimate(slope, slope - half, slope + half, n, level)


def wilson(signs: np.ndarray, level: float) -> Estimate:
    """P(win) + ½ P(tie) from outcomes in {-1, 0, 1}, with Wilson's score interval."""
    from scipy.stats import norm

    n, p = len(signs), float((signs.mean() + 1) / 2)
    z = float(norm.ppf((1 + level) / 2))
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half), n, level)


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def _check_level(level: float) -> None:
    """Refuse a confidence level that is no probability, a percentage say."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level!r}")
