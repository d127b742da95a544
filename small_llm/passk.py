r"""pass@k: the probability that at least one of k independent answers to a problem is right."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from pgtheory.evidence.intervals import Estimate, Seed, bootstrap, wilson
from pgtheory.mdp import validate


def pass_at_k(correct: ArrayLike, n: int, k: int) -> np.ndarray:
    r"""Unbiased estimate of pass@k for each problem, from the number of right ones among n answers.

    .. math:: 1 - \binom{n-c}{k} \Big/ \binom{n}{k} = 1 - \prod_{j=0}^{k-1} \frac{n-c-j}{n-j}

    which is the share of the k-subsets of the answers that hold a right one (Chen et al., arXiv:2107.03374, eq. 1).
    Putting c/n into :math:`1-(1-p)^k` instead would be biased downward.

    Parameters
    ----------
    correct
        ``[...]`` whole numbers c, 0 … n.
    n
        Answers to each problem.
    k
        1 … n.

    Returns
    -------
    ``[...]`` floats in [0, 1]; for k = 1 they are c/n.
    """
    n, k = validate.positive_integer("n", n), validate.positive_integer("k", k)
    if k > n:
        raise ValueError(
            f"k must be {n} at most, the number of answers to each problem, got {k}: sample more"
        )
    counts = validate.rectangular("correct", correct)
    if counts.dtype.kind not in "iu":
        raise TypeError(
            f"correct must hold whole numbers, how many answers are right, got dtype {counts.dtype}"
        )
    if counts.size and not (counts.min() >= 0 and counts.max() <= n):
        raise ValueError(f"correct must lie in 0 … n = {n}, got {counts.min()} … {counts.max()}")
    wrong = n - counts.astype(np.int64)[..., None]
    j = np.arange(k)
    left = np.maximum(
        wrong - j, 0
    )  # behind the first 0 too: whatever the order of multiplying, nothing overflows
    return 1.0 - (left / (n - j)).prod(-1)


def pass_rate(
    correct: ArrayLike,
    k: int = 1,
    *,
    interval: Literal["wilson", "bootstrap"] = "wilson",
    level: float = 0.95,
    rng: Seed = 0,
    resamples: int = 2000,
) -> Estimate:
    """Mean pass@k over problems, with an interval for the distribution that the problems were drawn from.

    Problems are the independent units; answers to the same problem are not.

    Parameters
    ----------
    correct
        ``[problems, n]`` booleans: which answers are right.
    k
        1 … n.
    interval
        "wilson": Wilson's score interval with as many trials as problems. Never empty, not even when every
        answer is right, and if anything too wide for n > 1, since numbers in [0, 1] vary most when they are 0
        and 1. "bootstrap": percentile interval over problems; narrower, but empty when all problems agree.
    level, rng, resamples
        Confidence level; seed or generator, and number, of resamples.

    Returns
    -------
    Estimate
        Its ``n`` is the number of problems.
    """
    right = validate.rectangular("correct", correct)
    if right.dtype != np.bool_:
        raise TypeError(f"correct must hold booleans, which answers are right, got dtype {right.dtype}")
    if right.ndim != 2 or not right.size:
        raise ValueError(
            f"correct must have shape [problems, n], with at least one of each, got {list(right.shape)}"
        )
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level!r}")
    each = pass_at_k(right.sum(1), right.shape[1], k)
    if interval == "wilson":
        return wilson(2 * each - 1, level)
    if interval == "bootstrap":
        if len(each) < 2:
            raise ValueError("correct must hold two problems at least for a bootstrap interval, got 1")
        return bootstrap((each,), _mean, level, rng, resamples)
    raise ValueError(f'interval must be "wilson" or "bootstrap", got {interval!r}')


def _mean(values: np.ndarray, axis: int) -> Any:
    return values.mean(axis)
