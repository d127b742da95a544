r"""Hybrid fitted policy evaluation (HPE): bootstrap on offline data, Monte-Carlo returns on on-policy data.

.. math::
   f_k=\arg\min_{f\in\mathcal F}\ \mathbb E_\nu\big(f(s,a)-r-\gamma f_{k-1}(s',\pi(s'))\big)^2
   +\lambda\,\mathbb E_{d^\pi}\big(f(s,a)-y\big)^2,\qquad k=1..K_2,\qquad
   \bar f=\frac1{K_2-K_1}\sum_{k>K_1}f_k .

:math:`\lambda=0` is fitted evaluation on the offline data alone, :math:`\lambda=\infty` plain regression on
on-policy returns. With a tabular critic and the populations
:math:`f_k=(1-\alpha)\mathcal T^\pi f_{k-1}+\alpha Q^\pi`, :math:`\alpha=\lambda d^\pi/(\nu+\lambda d^\pi)`.

Source: arXiv:2311.08384, Algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any

import numpy as np
from scipy import sparse

from pgtheory.hybrid.critics import Critic
from pgtheory.hybrid.moments import Moments
from pgtheory.mdp import validate

Step = Callable[[np.ndarray], np.ndarray]
ON_TARGETS = ("returns", "bootstrap")
SETTLED = 1e-12  # changes of the critic below this share of its size are rounding
BLOWN = 1e8  # times the largest target: no critic of a policy is that large


@dataclass(frozen=True)
class Divergence:
    """A critic that left every bound.

    Attributes
    ----------
    iteration : int
        The k at which it was stopped.
    factor : float
        By how much its change grew from one iteration to the next (median of the last ten).
    size : float
        Largest entry of the last finite critic.
    """

    iteration: int
    factor: float
    size: float

    def __str__(self) -> str:
        return (
            f"the critic grew by {self.factor:.6g} an iteration and was stopped at k = {self.iteration}, size "
            f"{self.size:.3g}; more weight on on-policy returns (lam) contracts it, a bound would only hide it"
        )


@dataclass(frozen=True, eq=False)
class Fit:
    r"""What fitted evaluation did.

    Attributes
    ----------
    f : array [S, A]
        The average after K1; after a divergence the last finite critic.
    last : array [S, A]
        The critic of the last iteration.
    changes : array [iterations]
        Largest change of an entry in each iteration.
    divergence : Divergence or None
    pinned : bool
        Whether ``last`` sits on the critic's bound, which is how a bounded critic diverges.
    weights : array [S, A]
        What the last regression put on each pair, :math:`\nu+\lambda d^\pi`: the natural gradient reuses it.
    """

    f: np.ndarray
    last: np.ndarray
    changes: np.ndarray
    divergence: Divergence | None
    pinned: bool
    weights: np.ndarray

    @property
    def factor(self) -> float:
        """Median ratio of the last ten successive changes that are no rounding; NaN where there is none."""
        return _factor(self.changes, float(np.abs(self.last).max()))


@dataclass(frozen=True)
class HPE:
    r"""Hybrid fitted policy evaluation.

    Parameters
    ----------
    lam : float
        :math:`\lambda\in[0,\infty]`, the weight of the on-policy term; at infinity the offline term is dropped.
    K1, K2 : int
        Iterations before averaging starts, and in all.
    on_targets : {"returns", "bootstrap"}
        What on-policy pairs regress on: their returns, or the same bootstrapped target as the offline ones,
        temporal differences on both data as in RLPD.

    Raises
    ------
    TypeError, ValueError
        If ``lam`` is negative, K2 does not exceed K1, or ``on_targets`` is neither.
    """

    lam: float = 1.0
    K1: int = 100
    K2: int = 200
    on_targets: str = "returns"

    def __post_init__(self) -> None:
        if not validate.real("lam", self.lam) >= 0:
            raise ValueError(f"lam must be at least 0, the weight of the on-policy term, got {self.lam}")
        K1, K2 = validate.positive_integer("K1", self.K1, 0), validate.positive_integer("K2", self.K2)
        if K2 <= K1:
            raise ValueError(f"K2 must exceed K1, or no iterate is left to average, got K1 = {K1}, K2 = {K2}")
        if self.on_targets not in ON_TARGETS:
            raise ValueError(f"on_targets must be one of {ON_TARGETS}, got {self.on_targets!r}")

    def evaluate(
        self, data: Moments | Iterable[Moments], pi: np.ndarray, critic: Critic, start: Any = None
    ) -> Fit:
        """Evaluate one policy.

        Parameters
        ----------
        data : Moments, or an iterable of at least K2 of them
            The same data in every iteration (as with populations), or fresh ones for each.
        pi : array [S, A]
        critic : Critic
        start : array [S, A], optional
            :math:`f_0`, zero by default.

        Returns
        -------
        Fit
            A critic that diverges ends the iterations; the result says so and holds them.

        Raises
        ------
        TypeError, ValueError
            If the data run out or ``start`` does not fit.
        """
        validate.instance_of("critic", critic, Critic)
        pi = validate.real_array("pi", pi, (None, None), "[S, A]")
        f = self._start(start, pi.shape)
        total = np.zeros_like(f)
        changes: list[float] = []
        for k, (one, step) in enumerate(self._iterations(data, pi, critic), 1):
            new = step(f)
            change = float(np.abs(new - f).max())
            if not change <= BLOWN * max(1.0, one.scale):
                factor = _factor(np.array(changes), float(np.abs(f).max()))
                divergence = Divergence(k, factor, float(np.abs(f).max()))
                return Fit(f, f, np.array(changes), divergence, critic.pinned(f), self.weights(one))
            changes.append(change)
            f = new
            if k > self.K1:
                total += f
        if len(changes) < self.K2:
            raise ValueError(f"data must last for K2 = {self.K2} iterations, got {len(changes)}")
        mean = total / (self.K2 - self.K1)
        return Fit(mean, f, np.array(changes), None, critic.pinned(f), self.weights(one))

    def weights(self, data: Moments) -> np.ndarray:
        r""":math:`\nu+\lambda d^\pi` [S, A], or :math:`d^\pi` at :math:`\lambda=\infty`; zero in terminal states."""
        off, on = self._terms(data)
        return off + on

    def iteration(self, data: Moments, pi: np.ndarray, critic: Critic) -> Step:
        r"""One iteration as a map of f [S, A] to f [S, A].

        The regression's target is affine in the values ahead, :math:`b+Mf(\cdot,\pi)`, with what both terms put into
        b and M mixed by their shares of each pair's weight.
        """
        off, on = self._terms(data)
        weights, live = off + on, ~data.terminal[:, None]
        share = off / np.where(weights > 0, weights, 1.0)
        ahead, acting = data.discount * (_rows(share) @ data.offline.P), pi * live
        if self.on_targets == "returns":
            base = share * data.offline.r + (1 - share) * data.returns
        else:
            base = share * data.offline.r + (1 - share) * data.online.r
            ahead = ahead + data.discount * (_rows(1 - share) @ data.online.P)
        solve = critic.regression(weights)

        def step(f: np.ndarray) -> np.ndarray:
            V = (acting * f).sum(-1)
            return solve(base + (ahead @ V).reshape(base.shape), f) * live

        return step

    def contraction(self, data: Moments, pi: np.ndarray, critic: Critic) -> float:
        """Spectral radius of one iteration without the critic's bound: above 1 the critic diverges."""
        step = self.iteration(data, pi, critic.unbounded())
        shape = np.shape(pi)
        origin = step(np.zeros(shape))
        units = np.eye(origin.size).reshape(-1, *shape)
        jacobian = np.stack([(step(unit) - origin).ravel() for unit in units], axis=-1)
        return float(np.abs(np.linalg.eigvals(jacobian)).max())

    def _terms(self, data: Moments) -> tuple[np.ndarray, np.ndarray]:
        """Weights [S, A] of the offline and of the on-policy term, where the episode goes on."""
        live, only_on = ~data.terminal[:, None], math.isinf(self.lam)
        off = data.offline.weights * live
        on = data.online.weights * live
        return (np.zeros_like(off), on) if only_on else (off, self.lam * on)

    def _iterations(
        self, data: Moments | Iterable[Moments], pi: np.ndarray, critic: Critic
    ) -> Iterator[tuple[Moments, Step]]:
        """K2 times the data and the iteration on them; data that stay the same are prepared once."""
        if isinstance(data, Moments):
            return repeat((data, self.iteration(data, pi, critic)), self.K2)
        return ((one, self.iteration(one, pi, critic)) for one in islice(data, self.K2))

    @staticmethod
    def _start(start: Any, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape) if start is None else validate.real_array("start", start, shape, "[S, A]")


def _rows(scale: np.ndarray) -> sparse.dia_array:
    """What multiplies the rows of a matrix [S*A, ...] by ``scale`` [S, A]."""
    return sparse.diags_array(scale.ravel())


def _factor(changes: np.ndarray, size: float) -> float:
    moving = changes > SETTLED * max(size, 1e-300)
    both = moving[1:] & moving[:-1]
    ratios = changes[1:][both] / changes[:-1][both]
    return float(np.median(ratios[-10:])) if len(ratios) else math.nan
