r"""Trajectory trees: one draw of every transition that some policy of the class needs, shared by all of them.

A tree is one draw of the deterministic MDP in which every state and action has its successor and reward fixed
in advance, explored only along the class. It costs at most :math:`\sum_h\mathfrak C_h(\Pi)\le H\,\mathfrak
C(\Pi)` calls, whatever the number of policies, and values all of them without bias (Kearns, Mansour and Ng
1999; arXiv:2310.06113 for the spanning capacity :math:`\mathfrak C`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.access import LocalSimulator
from pgtheory.agnostic.observed import check_class
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.replay import Replay
from pgtheory.mdp import validate

AT_ONCE = 2_000_000  # policies times trees


@dataclass(frozen=True, eq=False)
class TreeEstimate:
    """Values of a class by trajectory trees.

    Attributes
    ----------
    returns : array [trees, n]
        Return of every policy in every tree.
    calls : int array [trees]
        Transitions drawn for each tree.
    """

    returns: np.ndarray
    calls: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """Mean return [n] of every policy over the trees."""
        return self.returns.mean(0)

    @property
    def best(self) -> int:
        """The policy with the largest estimate, the first of equals."""
        return int(self.values.argmax())


def trajectory_trees(access: LocalSimulator | Replay, policies: PolicyClass, n: int) -> TreeEstimate:
    """Value all policies by n trees.

    Draws are kept by *state*, not by history: two ways to a state share what follows, so that a tree is one draw
    of a deterministic MDP. Within a tree policies share draws; trees are independent.

    Parameters
    ----------
    access : Generative, LocalSimulator, or Replay
        Only states that were seen are ever asked for.
    policies : PolicyClass
    n : int
        Number of trees; see :func:`pgtheory.agnostic.bounds.estimation_samples`.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit.
    BudgetExhausted
        If the budget ends within a tree.
    """
    check_class(policies, access.views, access.n_actions)
    n = validate.positive_integer("n", n)
    chunk = max(1, AT_ONCE // len(policies))
    parts = [_grow(access, policies, min(chunk, n - i)) for i in range(0, n, chunk)]
    returns, calls = (np.concatenate(x) for x in zip(*parts))
    return TreeEstimate(returns, calls)


def _grow(access: LocalSimulator | Replay, policies: PolicyClass, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns [n, policies] and calls [n] of n trees grown side by side, layer by layer."""
    everyone = np.arange(len(policies))
    total, calls = np.zeros((n, len(policies))), np.zeros(n, np.int64)
    here = access.start(n)  # the distinct states of all trees in this layer
    tree = np.arange(n)  # which tree each belongs to
    at = np.repeat(tree[:, None], len(policies), 1)  # where each policy stands in each tree
    for h in range(access.horizon):
        action = policies.actions[h][everyone, here.views[at]].astype(np.int64)
        pair, which = _distinct(at * access.n_actions + action, len(here) * access.n_actions)
        state = pair // access.n_actions
        rewards, reached = access.step(access.restart(here[state]), pair % access.n_actions)
        calls += np.bincount(tree[state], minlength=n)
        total += rewards[which]
        if reached is not None:
            _, label = np.unique(reached.labels, return_inverse=True)
            key, first, place = np.unique(
                tree[state] * (label.max() + 1) + label, return_index=True, return_inverse=True
            )
            here, tree, at = reached[first], tree[state][first], place[which]
    return total, calls


def _distinct(keys: np.ndarray, bound: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct keys among 0..bound-1 in order, and for every entry which of them it is; no sorting."""
    there = np.zeros(bound, bool)
    there[keys] = True
    return np.flatnonzero(there), (there.cumsum() - 1)[keys]
