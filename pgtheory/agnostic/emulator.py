r"""A simplified policy emulator under hybrid resets, for MDPs with few latent states and rich observations.

A small tabular MDP that need not be the truth, only give every policy of the class its value. It is built
backwards. States of a layer are clusters of reset draws that no action and policy can tell apart; where a next
observation belongs is found by playing a few *test policies* from it again and again, which the local simulator
allows. One test separates two clusters where their emulated values differ most.

This is not the algorithm of arXiv:2504.05405, of which only an outline was known: there is no repair step, and
distinct latent states must be either alike for the whole class or separated by :math:`2\tau`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.access import HybridResets, Observations
from pgtheory.agnostic.observed import check_class
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.rollouts import follow
from pgtheory.mdp import validate

Test = tuple[int, int]  # an action to begin with, and the policy to follow then


@dataclass(frozen=True, eq=False)
class EmulatorResult:
    """Values of a class by an emulator.

    Attributes
    ----------
    values : array [n]
        Estimate for every policy.
    clusters : tuple of H int
        Emulator states of each layer.
    tests : tuple of H int
        Tests with which observations of each layer are decoded.
    rollouts : int
        Transitions drawn for signatures, and returns drawn for tests.
    """

    values: np.ndarray
    clusters: tuple[int, ...]
    tests: tuple[int, ...]
    rollouts: int

    @property
    def best(self) -> int:
        """The policy with the largest estimate, the first of equals."""
        return int(self.values.argmax())


@dataclass(frozen=True, eq=False)
class _Layer:
    """Emulated action values Q [clusters, A, n] and the tests that tell clusters apart."""

    Q: np.ndarray
    tests: tuple[Test, ...]


def policy_emulator(
    access: HybridResets,
    policies: PolicyClass,
    *,
    draws: int,
    transitions: int,
    rollouts: int,
    tau: float,
    start_draws: int | None = None,
) -> EmulatorResult:
    r"""Build the emulator backwards and value all policies in it.

    Parameters
    ----------
    access : HybridResets
    policies : PolicyClass
    draws : int
        m, draws of :math:`\mu_h` in each later layer; every latent state should be among them.
    transitions : int
        n, next observations for each draw and action; 1 suffices where latent dynamics are deterministic.
    rollouts : int
        Returns averaged for each test, and rewards averaged in the last layer.
    tau : float
        Signatures this close are one cluster.
    start_draws : int, optional
        Draws of the start; ``draws`` by default, 1 where the first latent state is fixed and policies do not use what
        is observed there.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit.
    BudgetExhausted
        If the access object's budget is too small.
    """
    validate.instance_of("access", access, HybridResets)
    check_class(policies, access.views, access.n_actions)
    m, n = validate.positive_integer("draws", draws), validate.positive_integer("transitions", transitions)
    n_mc, tau = validate.positive_integer("rollouts", rollouts), validate.positive("tau", tau)
    m_start = m if start_draws is None else validate.positive_integer("start_draws", start_draws)
    before, begun = access.spent.restarts, []
    later: _Layer | None = None
    for h in reversed(range(access.horizon)):
        x = access.start(m_start) if h == 0 else access.reset(h, m)
        signatures = _signatures(access, policies, x, later, n, n_mc)
        cluster = _cluster(signatures, tau)
        Q = np.stack([signatures[cluster == c].mean(0) for c in range(cluster.max() + 1)])
        later = _Layer(Q, _tests(Q) if h > 0 else ())
        begun.append(later)
    acted = policies.actions[0][:, x.views]  # [n, start draws]
    values = Q[cluster, acted, np.arange(len(policies))[:, None]].mean(1)
    layers = begun[::-1]
    return EmulatorResult(
        values,
        tuple(len(layer.Q) for layer in layers),
        tuple(len(layer.tests) for layer in layers),
        access.spent.restarts - before,
    )


def _signatures(
    access: HybridResets, policies: PolicyClass, x: Observations, later: _Layer | None, n: int, n_mc: int
) -> np.ndarray:
    """Estimated action values [draws, A, policies] of each draw; its policies act on real next observations."""
    A, count = access.n_actions, len(x)
    each = n_mc if later is None else n
    origin = np.repeat(np.arange(count * A), each)  # draw and action of every transition
    rewards, y = access.step(access.restart(x[origin // A]), origin % A)
    total = np.bincount(origin, rewards, count * A)[:, None] * np.ones(len(policies))
    if y is not None:
        assert later is not None  # there is a later layer to lead to
        cluster = _decode(access, policies, y, later, n_mc)
        everyone = np.arange(len(policies))
        for i, place in enumerate(origin):
            total[place] += later.Q[cluster[i], policies.actions[y.layer][:, y.views[i]], everyone]
    return (total / each).reshape(count, A, -1)


def _decode(
    access: HybridResets, policies: PolicyClass, y: Observations, layer: _Layer, n_mc: int
) -> np.ndarray:
    """The cluster [n] whose emulated test values are nearest to returns of the tests played from each observation."""
    off = np.zeros((len(y), len(layer.Q)))
    for action, policy in layer.tests:
        here = access.restart(y[np.repeat(np.arange(len(y)), n_mc)])
        gain, after = access.step(here, action)
        if after is not None:
            gain = gain + follow(access, after, policies, np.full(len(here), policy))
        played = gain.reshape(-1, n_mc).mean(1)
        off = np.maximum(off, np.abs(played[:, None] - layer.Q[:, action, policy]))
    return off.argmin(1)


def _cluster(signatures: np.ndarray, tau: float) -> np.ndarray:
    """Greedily: each draw joins the nearest cluster within tau of its first member, or founds one."""
    first: list[int] = []
    cluster = np.zeros(len(signatures), np.int64)
    for i, signature in enumerate(signatures):
        away = [float(np.abs(signature - signatures[j]).max()) for j in first]
        if away and min(away) <= tau:
            cluster[i] = int(np.argmin(away))
        else:
            cluster[i] = len(first)
            first.append(i)
    return cluster


def _tests(Q: np.ndarray) -> tuple[Test, ...]:
    """For each pair of clusters the action and policy that differ most, the first of equals; each once."""
    found: dict[Test, None] = {}
    for c in range(len(Q)):
        for other in range(c):
            flat = int(np.abs(Q[c] - Q[other]).argmax())
            found[divmod(flat, Q.shape[2])] = None
    return tuple(found)
