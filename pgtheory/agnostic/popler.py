r"""POPLER: online learning of sunflower classes (arXiv:2310.06113).

A few core policies cover the pieces of every policy's trajectories between its petals. POPLER finds the petals
that matter, those that some policy reaches often enough, collects episodes from each under the core, and values
every policy by dynamic programming over its petals (:mod:`pgtheory.agnostic.reward_process`).

The structure, the estimator and the threshold :math:`\epsilon/6D` are recalled from the paper and were checked
here for consistency with its theorem; the constants of its sample sizes are not known, so both sizes are
arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.access import Online
from pgtheory.agnostic.observed import check_class
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.reward_process import Nodes, Pieces
from pgtheory.agnostic.rollouts import Episodes, play
from pgtheory.agnostic.sunflower import State, Sunflower
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class PoplerEstimate:
    """Values of a class by POPLER.

    Attributes
    ----------
    values : array [n]
        Estimate for every policy; too low by what flows into petals never identified.
    petals : tuple of (h, s)
        Identified (h = 1..H), in the order in which they were found.
    episodes : int
        Played in all.
    """

    values: np.ndarray
    petals: tuple[State, ...]
    episodes: int

    @property
    def best(self) -> int:
        """The policy with the largest estimate, the first of equals."""
        return int(self.values.argmax())


def popler(
    access: Online,
    policies: PolicyClass,
    sunflower: Sunflower,
    *,
    epsilon: float,
    n_start: int,
    n_petal: int,
    rng: np.random.Generator,
) -> PoplerEstimate:
    """Find the petals that matter, then value all policies.

    Parameters
    ----------
    access : Online
    policies : PolicyClass
    sunflower : Sunflower
        The core, and for every policy its petals: views that have a label of their own.
    epsilon : float
        A petal matters once some policy reaches it with estimated probability ε/6D, D petals a policy at most.
    n_start, n_petal : int
        Episodes from the start, and for each petal that matters.
    rng : numpy.random.Generator
        Which core policy plays.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit.
    BudgetExhausted
        If the access object's budget is too small.
    """
    validate.instance_of("sunflower", sunflower, Sunflower)
    for given in (policies, sunflower.core):
        check_class(given, access.views, access.n_actions)
    n_start = validate.positive_integer("n_start", n_start)
    n_petal = validate.positive_integer("n_petal", n_petal)
    validate.instance_of("rng", rng, np.random.Generator)
    search = _Search(access, policies, sunflower, rng)
    least = validate.positive("epsilon", epsilon) / (6 * max(search.nodes.most, 1))
    before = access.spent.episodes
    search.collect(0, 0, n_start)
    turn = 0
    while True:
        matters = search.reach() >= least  # [n, N]; petals found already are left out
        waiting = np.flatnonzero(matters.any(1))
        if not len(waiting):
            break
        # policies take turns, as in a loop over them that is repeated until nothing is found
        roll_in = int(waiting[np.searchsorted(waiting, turn) % len(waiting)])
        for petal in np.flatnonzero(matters[roll_in]):
            search.collect(int(petal) + 1, roll_in, n_petal)
        turn = roll_in + 1
    states = [(int(h) + 1, int(s)) for h, s in zip(search.nodes.layers, search.nodes.views)]
    found = tuple(states[x - 1] for x in search.edges if x)
    return PoplerEstimate(search.values(), found, access.spent.episodes - before)


class _Search:
    """What is known so far: for every identified node its edges, one row for all policies that agree on them."""

    def __init__(
        self, access: Online, policies: PolicyClass, sunflower: Sunflower, rng: np.random.Generator
    ) -> None:
        self.access, self.policies, self.core, self.rng = access, policies, sunflower.core, rng
        self.nodes = Nodes.of(sunflower.petals, policies)
        self.owned = self.nodes.owned(len(policies))
        self.edges: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}  # P, r [rows, nodes]; row [n]

    def collect(self, node: int, roll_in: int, n: int) -> None:
        """Play n episodes through a node, policy ``roll_in`` up to it and a core policy from there; store the edges."""
        pieces = Pieces(self._episodes(node, roll_in, n), node, self.nodes, self.core)
        kinds, row = self._kinds(node)
        estimates = [
            pieces.edges([x[i] for x in self.policies.actions], self.nodes.of_policy(i)) for i in kinds
        ]
        P, r = (np.stack(x) for x in zip(*estimates))
        self.edges[node] = P, r, row

    def reach(self) -> np.ndarray:
        """Estimated probability [n, N] that a policy enters a petal through identified nodes; 0 for those found."""
        n = len(self.policies)
        mass = np.zeros((n, self.nodes.count))
        mass[:, 0] = 1.0
        for x in sorted(self.edges):
            P, _, row = self.edges[x]
            mass += mass[:, x, None] * P[row]
        mass[:, list(self.edges)] = 0.0
        return mass[:, 1:-1] * self.owned

    def values(self) -> np.ndarray:
        """W(⊤) [n]; what enters a node that was never identified is lost."""
        known = np.zeros(self.nodes.count, bool)
        known[[*self.edges, -1]] = True
        W = np.zeros((len(self.policies), self.nodes.count))
        for x in sorted(self.edges, reverse=True):
            P, r, row = self.edges[x]
            W[:, x] = ((r[row] + P[row] * W) * known).sum(1)
        return W[:, 0]

    def _episodes(self, node: int, roll_in: int, n: int) -> Episodes:
        here = self.access.start(n)
        if node > 0:
            layer, view = self.nodes.layers[node - 1], self.nodes.views[node - 1]
            for h in range(layer):
                _, after = self.access.step(here, self.policies.actions[h][roll_in][here.views])
                assert after is not None  # the petal's layer is still ahead
                here = after
            here = here[here.views == view]
        drawn = self.rng.integers(len(self.core), size=len(here))
        return play(self.access, here, lambda h, views: self.core.actions[h][drawn, views])

    def _kinds(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """One policy of each kind, and the kind [n] of every policy: equal kinds have equal edges out of a node.

        What matters is the action at the node, which later views are petals, and the actions at those that are not.
        """
        n, petal = len(self.policies), self.policies.n_actions
        layer = -1 if node == 0 else self.nodes.layers[node - 1]
        columns = [
            np.where(self.nodes.petals[h], petal, self.policies.actions[h])
            for h in range(layer + 1, self.policies.horizon)
        ]
        if node > 0:
            columns.append(self.policies.actions[layer][:, [self.nodes.views[node - 1]]].astype(np.int64))
        table = np.ascontiguousarray(
            np.concatenate([np.broadcast_to(c, (n, c.shape[1])) for c in columns], 1)
        )
        rows = table.astype(np.uint16).view(np.dtype((np.void, 2 * table.shape[1]))).ravel()
        _, first, kind = np.unique(rows, return_index=True, return_inverse=True)
        return first, kind
