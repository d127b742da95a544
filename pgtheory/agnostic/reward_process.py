r"""Policy-specific Markov reward processes: a policy's return, cut into pieces at its petals.

Nodes are ⊤ (before the first layer), the petals :math:`\mathcal S_\pi`, and ⊥ (after the last layer). The piece from
node s to node s' is all of a trajectory from s to s' under π that meets no petal strictly between; with

.. math::
   P_{s\to s'}=\Pr^\pi[\text{the piece from }s\text{ ends at }s'],\qquad
   r_{s\to s'}=\mathbb E^\pi\Big[\sum_{i=h}^{h'-1}r_i\,1\{\text{it ends at }s'\}\Big]

(not divided by P) the value is :math:`W(⊤)`, where :math:`W(⊥)=0` and
:math:`W(s)=\sum_{s'}r_{s\to s'}+P_{s\to s'}W(s')`. A piece is short, so that a few core policies cover it, which no
core does for whole trajectories. The same numbers come exactly (:func:`exact_process`) or from episodes
(:class:`Pieces`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.agnostic.layered_mdp import LayeredMDP, Layers
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.rollouts import Episodes
from pgtheory.agnostic.sunflower import State
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class Nodes:
    """The petals of a class in layer order; node 0 is ⊤, the last one is ⊥.

    Attributes
    ----------
    petals : tuple of H boolean arrays [1 or n, V_h]
        Whether a view is a petal, for every policy, or for all alike.
    layers, views : int array [N]
        Where the N petals of any policy lie, layers by index 0 to H-1; petal i is node i + 1.
    numbers : tuple of H int arrays [V_h]
        The node of each view; 0 for none.
    """

    petals: Layers
    layers: np.ndarray
    views: np.ndarray
    numbers: Layers

    @classmethod
    def of(cls, petals: Sequence[Collection[State]], policies: PolicyClass) -> Nodes:
        """From the petals (h, s) of every policy, h = 1..H, as a ``Sunflower`` holds them."""
        given = [frozenset(x) for x in validate.sequence("petals", petals, "sets of (h, s), one per policy")]
        if len(given) != len(policies):
            raise ValueError(
                f"petals must hold one set for each of {len(policies)} policies, got {len(given)}"
            )
        kinds = {states: i for i, states in enumerate(dict.fromkeys(given))}
        member = [np.zeros((len(kinds), width), bool) for width in policies.sizes]
        for states, i in kinds.items():
            for h, s in states:
                if not (1 <= h <= policies.horizon and 0 <= s < policies.sizes[h - 1]):
                    raise ValueError(
                        f"petals must be (h, s) of the policies' own layers and states, got ({h}, {s})"
                    )
                member[h - 1][i, s] = True
        where = [(h, s) for h, x in enumerate(member) for s in np.flatnonzero(x.any(0))]
        numbers = [np.zeros(width, np.int64) for width in policies.sizes]
        for i, (h, s) in enumerate(where):
            numbers[h][s] = i + 1
        layers, views = np.array(where, np.int64).reshape(-1, 2).T
        kind = [0] if len(kinds) == 1 else [kinds[states] for states in given]
        return cls(tuple(x[kind] for x in member), layers, views, tuple(numbers))

    @property
    def count(self) -> int:
        """Nodes with ⊤ and ⊥."""
        return len(self.layers) + 2

    @property
    def most(self) -> int:
        """D, the largest number of petals of one policy."""
        return int(sum(x.sum(1) for x in self.petals).max())

    def of_policy(self, i: int) -> Layers:
        """The petals of one policy, H boolean arrays [V_h]."""
        return tuple(x[i if len(x) > 1 else 0] for x in self.petals)

    def owned(self, n: int) -> np.ndarray:
        """Whether each petal belongs to each of n policies [n, N]."""
        owned = [self.petals[h][:, v] for h, v in zip(self.layers, self.views)]
        return np.stack([np.broadcast_to(x, n) for x in owned], 1) if owned else np.zeros((n, 0), bool)


def exact_process(
    mdp: LayeredMDP, policy: Sequence[Any], petals: Collection[State]
) -> tuple[np.ndarray, np.ndarray]:
    """Exact P and r [nodes, nodes] of one policy on a tabular MDP.

    Parameters
    ----------
    mdp : LayeredMDP
    policy : H integer arrays [S_h]
        Its action in every state.
    petals : collection of (h, s)
        Any states at all, h = 1..H: the identity needs no sunflower.
    """
    alone = PolicyClass([np.atleast_2d(x) for x in policy], mdp.n_actions)
    alone.check_fits(mdp)
    nodes = Nodes.of([petals], alone)
    P, r = np.zeros((nodes.count, nodes.count)), np.zeros((nodes.count, nodes.count))
    starts = [(0, mdp.start), *((h, np.eye(mdp.sizes[h])[v]) for h, v in zip(nodes.layers, nodes.views))]
    for x, (first, mass) in enumerate(starts):
        gain = np.zeros_like(mass)
        for h in range(first, mdp.horizon):
            if h > first or x == 0:
                here = nodes.numbers[h] > 0
                P[x, nodes.numbers[h][here]], r[x, nodes.numbers[h][here]] = mass[here], gain[here]
                mass, gain = np.where(here, 0.0, mass), np.where(here, 0.0, gain)
            rows = np.arange(mdp.sizes[h]), alone.actions[h][0]
            gain = gain + mass * mdp.rewards[h][rows]
            if h < mdp.horizon - 1:
                mass, gain = mass @ mdp.transitions[h][rows], gain @ mdp.transitions[h][rows]
        P[x, -1], r[x, -1] = mass.sum(), gain.sum()
    return P, r


def process_value(P: np.ndarray, r: np.ndarray) -> float:
    """W(⊤) of one process [nodes, nodes], nodes in layer order."""
    W = np.zeros(len(P))
    for x in reversed(range(len(P) - 1)):
        W[x] = r[x].sum() + P[x] @ W
    return float(W[0])


class Pieces:
    r"""Episodes under uniformly drawn core policies from one node, and the process's edges estimated from them.

    .. math::
       \hat P_{s\to s'}=\frac K{|\mathcal D_s|}\sum_{\tau\in\mathcal D_s}
       \frac{1\{\pi\rightsquigarrow\text{piece of }\tau,\ \text{it ends at }s'\}}
            {\#\{\pi'\in\Pi_{\rm core}:\pi'\rightsquigarrow\text{piece of }\tau\}}

    Parameters
    ----------
    episodes : Episodes
        From the node's layer (the first layer for ⊤); possibly none.
    node : int
    nodes : Nodes
    core : PolicyClass
    """

    def __init__(self, episodes: Episodes, node: int, nodes: Nodes, core: PolicyClass) -> None:
        self.node, self.nodes, self.K = node, nodes, len(core)
        self.episodes = episodes
        n, length = episodes.views.shape
        self.sofar = np.concatenate([np.zeros((n, 1)), episodes.rewards.cumsum(1)], 1)
        agree = np.ones((n, self.K), bool)
        self.covered = np.full(
            (n, length + 1), self.K
        )  # core policies that agree so far: never 0, one of them played
        for t in range(length):
            agree &= core.actions[episodes.first + t].T[episodes.views[:, t]] == episodes.actions[:, t, None]
            self.covered[:, t + 1] = agree.sum(1)

    def edges(
        self, actions: Sequence[np.ndarray], petals: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Estimates of P and r [nodes] out of this node, for a policy as H arrays of actions and of petals [V_h].

        A piece that no core policy plays is never seen: for a class that is no sunflower its mass is missing.
        """
        n, length = self.episodes.views.shape
        P, r = np.zeros(self.nodes.count), np.zeros(self.nodes.count)
        if n == 0:
            return P, r
        rows, end = np.arange(n), np.full(n, length)
        agree = np.ones((n, length + 1), bool)
        for t in reversed(range(length)):
            h, seen = self.episodes.first + t, self.episodes.views[:, t]
            agree[:, t + 1] = actions[h][seen] == self.episodes.actions[:, t]
            if t > 0 or self.node == 0:  # the node itself is no end of its pieces
                end[petals[h][seen]] = t
        agree = np.logical_and.accumulate(agree, 1)[rows, end]
        covered = self.covered[rows, end]
        weight = self.K * agree / covered / n
        target = np.full(n, self.nodes.count - 1)
        for t in range(length):
            ends = end == t
            target[ends] = self.nodes.numbers[self.episodes.first + t][self.episodes.views[ends, t]]
        P += np.bincount(target, weight, self.nodes.count)
        r += np.bincount(target, weight * self.sofar[rows, end], self.nodes.count)
        return P, r
