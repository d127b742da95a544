"""Statistics over seeds: estimates with bootstrap intervals, rates, paired comparison.

Arrays have a leading seeds axis, ``[seeds, ...]``. Intervals are percentile bootstrap intervals over whole
runs (``scipy.stats.bootstrap``); the default generator seed is 0, so a figure's bands are reproducible. Like
every bootstrap they are too narrow for a handful of seeds: of normal runs, the nominal 95 % interval of the
mean covers 84 % with five and 91 % with ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from pgtheory.evidence.intervals import Estimate, Seed, bootstrap, least_squares, wilson

Statistic = Literal["iqm", "median", "mean"]


@dataclass(frozen=True)
class Paired:
    """Comparison of two methods over shared seeds; see :func:`paired`."""

    mean: Estimate
    median: Estimate
    improvement: Estimate
    p_value: float
    n: int


def summary(
    x: ArrayLike,
    statistic: Statistic = "iqm",
    *,
    level: float = 0.95,
    diverged: ArrayLike | None = None,
    worst: float | None = None,
    rng: Seed = 0,
    resamples: int = 2000,
) -> Estimate:
    """Centre of the runs with a percentile-bootstrap interval over seeds.

    ``iqm`` is the interquartile mean as ``scipy.stats.trim_mean(x, 0.25)`` defines it: ``floor(n/4)`` runs
    are dropped at each end and the rest averaged (no fractional weights), the convention of Agarwal et
    al., *Deep RL at the edge of the statistical precipice* (2021).

    Divergences are counted, never dropped. A non-finite entry, and every entry of a run marked in
    ``diverged``, enters as ``worst``: the median and the IQM stay finite while few runs diverge, the mean
    does not, and an interval reaches infinity when the resamples say so.

    Parameters
    ----------
    x
        ``[seeds, ...]``, one run per row.
    statistic
        "iqm", "median" or "mean".
    diverged
        ``[seeds]`` booleans: runs known to have diverged though their numbers are finite.
    worst
        ``inf`` where lower is better, ``-inf`` where higher is; required as soon as a run diverged.
    rng
        Seed or generator of the resampling.

    Raises
    ------
    ValueError
        For fewer than two seeds, or diverged runs without ``worst``.
    """
    centres: dict[str, Callable[..., Any]] = {"iqm": _iqm, "median": np.median, "mean": np.mean}
    if statistic not in centres:
        raise ValueError(f"statistic must be one of {list(centres)}, got {statistic!r}")
    if worst is not None and not (isinstance(worst, int | float) and math.isinf(worst)):
        raise ValueError(f"worst must be inf (lower is better) or -inf (higher is better), got {worst!r}")
    runs = _runs("x", x)
    lost = ~np.isfinite(runs)
    if diverged is not None:
        lost |= _mask(diverged, len(runs)).reshape(-1, *[1] * (runs.ndim - 1))
    count = int(lost.reshape(len(runs), -1).any(axis=1).sum())
    if count:
        if worst is None:
            raise ValueError(
                f"{count} of {len(runs)} runs diverged; say how they enter: worst=inf where lower is better, "
                "worst=-inf where higher is"
            )
        runs = np.where(lost, worst, runs)
    return bootstrap((runs,), centres[statistic], level, rng, resamples, diverged=count)


def median(x: ArrayLike, **options: Any) -> Estimate:
    """Median over seeds; options as in :func:`summary`."""
    return summary(x, "median", **options)


def iqm(x: ArrayLike, **options: Any) -> Estimate:
    """Interquartile mean over seeds; definition and options as in :func:`summary`."""
    return summary(x, "iqm", **options)


def loglog_slope(
    x: ArrayLike, y: ArrayLike, *, level: float = 0.95, rng: Seed = 0, resamples: int = 2000
) -> Estimate:
    """Slope of ``log y`` against ``log x``: the exponent of a power law.

    Parameters
    ----------
    x
        ``[points]``, positive.
    y
        Positive. ``[points]``: ordinary least squares with its t interval. ``[seeds, points]``: slope of
        the log of the mean over seeds, with a bootstrap interval over seeds (points of one run are
        correlated, which a t interval would ignore).

    Raises
    ------
    ValueError
        For non-positive values, shapes that do not fit, or too few points or seeds.
    """
    return _slope(np.log(_positive("x", _finite("x", x))), y, level, rng, resamples)


def linear_rate(
    t: ArrayLike, y: ArrayLike, *, level: float = 0.95, rng: Seed = 0, resamples: int = 2000
) -> Estimate:
    """Slope of ``log y`` against ``t``: the rate of linear (geometric) convergence, negative when y shrinks.

    ``y`` has the two forms of :func:`loglog_slope`, with the same intervals and errors.
    """
    return _slope(_finite("t", t), y, level, rng, resamples)


def paired(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, rng: Seed = 0, resamples: int = 2000
) -> Paired:
    """Compare ``a`` with ``b`` over the seeds they share, ``a[i]`` and ``b[i]`` having used the same one.

    Returns
    -------
    Paired
        ``mean`` and ``median``: differences of the means and of the medians, a minus b, with bootstrap
        intervals over seeds. ``improvement``: P(a > b) + ½ P(a = b) on a shared seed, with Wilson's
        interval, which ties make conservative and which, unlike the bootstrap, does not shrink to a point
        when one side always wins. ``p_value``: Wilcoxon's signed-rank test, two-sided; 1 when all tie.

    Raises
    ------
    ValueError
        For arrays that are not both ``[seeds]`` with equal length of at least two, or not finite.
    """
    from scipy.stats import wilcoxon

    first, second = _finite("a", a), _finite("b", b)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(
            f"a and b must be one number per shared seed, got shapes {first.shape} and {second.shape}"
        )
    _runs("a", first)
    difference = first - second
    means = bootstrap((first, second), _difference(np.mean), level, rng, resamples)
    medians = bootstrap((first, second), _difference(np.median), level, rng, resamples)
    p_value = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    return Paired(means, medians, wilson(np.sign(difference), level), p_value, len(first))


def _slope(position: np.ndarray, y: ArrayLike, level: float, rng: Seed, resamples: int) -> Estimate:
    """Least-squares slope of log y against ``position``."""
    values = _positive("y", _finite("y", y))
    if position.ndim != 1 or values.ndim not in (1, 2) or values.shape[-1] != len(position):
        raise ValueError(
            "y must be [points] or [seeds, points] over a one-dimensional axis, got shapes "
            f"{values.shape} and {position.shape}"
        )
    needed = 3 if values.ndim == 1 else 2
    if len(np.unique(position)) < needed:
        raise ValueError(f"a slope with an interval needs {needed} distinct points here, got {len(position)}")
    if values.ndim == 1:
        return least_squares(position, np.log(values), level)
    _runs("y", values)
    centred = position - position.mean()
    weights = centred / (centred @ centred)

    def slope(runs: np.ndarray, axis: int) -> Any:  # runs: [..., seeds], row numbers
        return np.log(values[runs].mean(axis=-2)) @ weights

    return bootstrap((np.arange(len(values)),), slope, level, rng, resamples)


def _iqm(x: np.ndarray, axis: int) -> Any:
    from scipy.stats import trim_mean

    return trim_mean(x, 0.25, axis=axis)


def _difference(centre: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b, axis: centre(a, axis=axis) - centre(b, axis=axis)


def _runs(name: str, x: ArrayLike) -> np.ndarray:
    runs = np.asarray(x, dtype=float)
    if runs.ndim == 0 or len(runs) < 2 or runs.size == 0:
        raise ValueError(
            f"{name} must be [seeds, ...] with at least 2 seeds for an interval, got {runs.shape}"
        )
    return runs


def _mask(diverged: ArrayLike, n: int) -> np.ndarray:
    mask = np.asarray(diverged)
    if mask.shape != (n,) or mask.dtype != bool:
        raise ValueError(
            f"diverged must be {n} booleans, one per seed, got {mask.dtype} of shape {mask.shape}"
        )
    return mask


def _finite(name: str, x: ArrayLike) -> np.ndarray:
    values = np.asarray(x, dtype=float)
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(
            f"{name} has {bad} non-finite values; leave none out silently: report them with summary(), and "
            f"pass here a range where {name} is finite"
        )
    return values


def _positive(name: str, values: np.ndarray) -> np.ndarray:
    if values.size and values.min() <= 0:
        raise ValueError(
            f"{name} must be positive to take its logarithm; its smallest value is {values.min()}"
        )
    return values
