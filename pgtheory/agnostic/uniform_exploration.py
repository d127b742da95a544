r"""Importance sampling online: explore without a plan, weigh the episodes that a policy could have produced.

Uniform actions value every policy without bias at a second moment of :math:`A^H\,\mathbb E^\pi[G^2]`: the baseline
that structure must beat. A mixture over K core policies replaces :math:`A^H` by at most K, for those policies whose
every trajectory is one of some core policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.access import Online
from pgtheory.agnostic.observed import check_class
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.rollouts import Episodes, play
from pgtheory.mdp import validate

AT_ONCE = 4_000_000  # policies times episodes


@dataclass(frozen=True, eq=False)
class ImportanceEstimate:
    """Values of a class by importance sampling: ``values`` [n] from so many ``episodes``."""

    values: np.ndarray
    episodes: int

    @property
    def best(self) -> int:
        """The policy with the largest estimate, the first of equals."""
        return int(self.values.argmax())


def uniform_exploration(
    access: Online, policies: PolicyClass, n: int, rng: np.random.Generator
) -> ImportanceEstimate:
    r"""Value all policies from n episodes of uniform actions: the mean of :math:`A^H1\{\pi\rightsquigarrow\tau\}G`."""
    check_class(policies, access.views, access.n_actions)
    n = validate.positive_integer("n", n)
    validate.instance_of("rng", rng, np.random.Generator)
    A = access.n_actions
    episodes = play(access, access.start(n), lambda _, views: rng.integers(A, size=len(views)))
    weights = np.full(n, float(A) ** access.horizon)
    return ImportanceEstimate(_weighted(episodes, weights, policies), n)


def core_exploration(
    access: Online, policies: PolicyClass, core: PolicyClass, n: int, rng: np.random.Generator
) -> ImportanceEstimate:
    """Value policies from n episodes, each under a core policy drawn uniformly.

    An episode has weight K over the number of core policies that could have produced it. Unbiased only for policies
    whose every trajectory some core policy could have produced too: without petals there are few of these.
    """
    for given in (policies, core):
        check_class(given, access.views, access.n_actions)
    n = validate.positive_integer("n", n)
    validate.instance_of("rng", rng, np.random.Generator)
    K = len(core)
    drawn = rng.integers(K, size=n)
    episodes = play(access, access.start(n), lambda h, views: core.actions[h][drawn, views])
    consistent = np.zeros(n)
    for rows in _chunks(n, K):
        consistent[rows] = _unpack(_agreeing(episodes, core, rows), K).sum(1)
    return ImportanceEstimate(_weighted(episodes, K / consistent, policies), n)


def _weighted(episodes: Episodes, weights: np.ndarray, policies: PolicyClass) -> np.ndarray:
    """Sums [policies] over episodes of weight times return where policy and episode agree, over their number."""
    gains = weights * episodes.returns
    total = np.zeros(len(policies))
    useful = np.flatnonzero(gains)
    for rows in _chunks(len(useful), len(policies)):
        who = _agreeing(episodes, policies, useful[rows])
        some = who.any(1)
        total += gains[useful[rows]][some] @ _unpack(who[some], len(policies))
    return total / len(episodes)


def _agreeing(episodes: Episodes, policies: PolicyClass, rows: np.ndarray | slice) -> np.ndarray:
    """Which policies could have produced each episode, as words of bits [rows, words]."""
    views, actions = episodes.views[rows], episodes.actions[rows]
    words = policies.packed[0][views[:, 0], actions[:, 0]]
    for h in range(1, policies.horizon):
        words &= policies.packed[h][views[:, h], actions[:, h]]
    return words


def _unpack(words: np.ndarray, n: int) -> np.ndarray:
    return np.unpackbits(words.view(np.uint8), axis=-1, count=n, bitorder="little").astype(np.float64)


def _chunks(n: int, width: int) -> list[slice]:
    size = max(1, AT_ONCE // width)
    return [slice(i, i + size) for i in range(0, n, size)]
