r"""Spanning capacity: how many state–action pairs of a layer a policy class can reach in a deterministic MDP.

.. math:: \mathfrak C(\Pi)=\max_{h\le H}\ \max_{M\in\mathcal M_{\rm det}}
          \big|\{(s,a)\in\mathcal S_h\times\mathcal A:\ \text{some }\pi\in\Pi\text{ passes }(s,a)\text{ in }M\}\big|

(arXiv:2310.06113). It depends on the class and the sizes of the layers alone, and characterises how many samples a
generative model must give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.search_budget import BudgetSpent, Meter, SearchBudget
from pgtheory.agnostic.spanning_search import Search, search_layer
from pgtheory.agnostic.suffixes import Blocks, Suffixes
from pgtheory.agnostic.trees import Trees
from pgtheory.agnostic.witness import DeterministicMDP
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class LayerCapacity:
    r"""What is known of :math:`\mathfrak C_h`.

    Attributes
    ----------
    lower, upper : int
        Certified bounds, equal where the search came to its end.
    witness : DeterministicMDP
        Its layer h has ``lower`` pairs on paths of the class; layers after h are left out.
    tree : int or None
        The tree bound :math:`T_h`, if the search got that far.
    limit : str or None
        Which limit stopped the search.
    """

    lower: int
    upper: int
    witness: DeterministicMDP
    tree: int | None
    limit: str | None

    @property
    def is_exact(self) -> bool:
        """Whether the bounds meet."""
        return self.lower == self.upper


@dataclass(frozen=True, eq=False)
class SpanningCapacity:
    r"""Bounds on :math:`\mathfrak C(\Pi)` and on every layer's value.

    Attributes
    ----------
    layers : tuple of LayerCapacity
        One for each layer.
    positions : int
        How many positions and branches the search went through.
    """

    layers: tuple[LayerCapacity, ...]
    positions: int

    @property
    def lower(self) -> int:
        """Certified lower bound, attained by ``witness``."""
        return max(layer.lower for layer in self.layers)

    @property
    def upper(self) -> int:
        """Certified upper bound."""
        return max(layer.upper for layer in self.layers)

    @property
    def is_exact(self) -> bool:
        """Whether the bounds meet."""
        return self.lower == self.upper

    @property
    def value(self) -> int:
        """The exact value; ValueError, with the bounds and the limit, where the search stopped early."""
        if not self.is_exact:
            limit = next(layer.limit for layer in self.layers if layer.limit)
            raise ValueError(
                f"the spanning capacity is known only to lie in {self.lower}..{self.upper}: the search reached its "
                f"limit of {limit}; give spanning_capacity a larger SearchBudget"
            )
        return self.lower

    @property
    def by_layer(self) -> tuple[int, ...]:
        """Lower bounds by layer: the exact values where ``layers[h].is_exact``."""
        return tuple(layer.lower for layer in self.layers)

    @property
    def witness(self) -> DeterministicMDP:
        """A deterministic MDP in which the class reaches ``lower`` pairs in its last layer."""
        return max(self.layers, key=lambda layer: layer.lower).witness

    def __str__(self) -> str:
        value = str(self.lower) if self.is_exact else f"{self.lower}..{self.upper}"
        layers = ", ".join(str(x.lower) if x.is_exact else f"{x.lower}..{x.upper}" for x in self.layers)
        return f"spanning capacity {value} (by layer {layers})"


def spanning_capacity(policies: PolicyClass, budget: SearchBudget | None = None) -> SpanningCapacity:
    r"""Spanning capacity of a class, exactly, or bounds where the search would exceed its budget.

    Parameters
    ----------
    policies : PolicyClass
    budget : SearchBudget, optional
        A minute, five million positions and a gigabyte by default. Layers share the time.

    Returns
    -------
    SpanningCapacity
        Values, tree bounds and witnesses by layer. Every lower bound has been counted in its witness; every upper
        bound comes from a finished search, from the tree bound :math:`T_h`, or from counting
        (:math:`\mathfrak C_h\le\min\{A^h,|\Pi|,A|\mathcal S_h|\}`, and at most as many pairs as the
        :math:`\mathfrak C_{h-1}` most branching states have actions).
    """
    validate.instance_of("policies", policies, PolicyClass)
    meter = Meter(_budget(budget))
    layers: list[LayerCapacity] = []
    for h in range(policies.horizon):
        meter.allow(1 / (policies.horizon - h))
        suffixes = Suffixes(policies, h, meter)
        search, tree, limit = search_layer(suffixes, meter)
        witness = _replay(policies, suffixes, search)
        lower = len(witness.reached(policies)[h])
        before = layers[-1].upper if layers else 1
        counted = [sum(suffixes.branching[h][:before]), len(policies)]
        upper = min(counted + ([tree] if tree is not None else [])) if limit else lower
        layers.append(LayerCapacity(lower, upper, witness, tree, limit if lower < upper else None))
    return SpanningCapacity(tuple(layers), meter.positions)


def tree_bounds(policies: PolicyClass, budget: SearchBudget | None = None) -> tuple[int, ...]:
    r"""Leaves :math:`T_h(\Pi)` for h = 1..H of the largest depth-h tree of states all of whose branches are followed.

    A node of depth h names any state of layer h, and the same state may stand on several nodes, so
    :math:`\mathfrak C_h\le T_h`, often with much room.

    Raises
    ------
    ValueError
        If the budget does not suffice: there are as many positions as sets of policies that trees can separate.
    """
    validate.instance_of("policies", policies, PolicyClass)
    meter = Meter(_budget(budget))
    found = []
    try:
        for h in range(policies.horizon):
            meter.allow(1.0)
            suffixes = Suffixes(policies, h, meter)
            found.append(Trees(suffixes, meter).leaves(0, suffixes.everyone))
    except BudgetSpent as spent:
        raise ValueError(
            f"{spent} at layer {len(found) + 1}; the tree bounds before it are {found}"
        ) from None
    return tuple(found)


def _budget(budget: SearchBudget | None) -> SearchBudget:
    if budget is None:
        return SearchBudget()
    validate.instance_of("budget", budget, SearchBudget)
    return budget


def _replay(policies: PolicyClass, suffixes: Suffixes, search: Search) -> DeterministicMDP:
    """The MDP that a search's best choices describe, with the policies themselves in place of behaviours."""
    sizes, A = suffixes.sizes, policies.n_actions
    successors = [np.zeros((S, A), np.int64) for S in sizes[:-1]]
    pairs: dict[int, list[tuple[int, int]]] = {}  # block -> pairs (s, a) of the layer before that carry it
    start = search.path[0][0]
    blocks: Blocks = (suffixes.everyone,)
    for level, choice in enumerate(search.path):
        waiting = {block: list(carriers) for block, carriers in pairs.items()}
        merged: dict[int, int] = {}
        for block, state in zip(blocks, choice):
            merged[state] = merged.get(state, 0) | block
            if level:
                successors[level - 1][waiting[block].pop()] = state
        pairs = {}
        for state, block in merged.items():
            split = suffixes.split(level, block, state)
            for a, part in zip(suffixes.actions(level, block, state), split):
                pairs.setdefault(part, []).append((state, a))
        blocks = tuple(sorted(part for part, carriers in pairs.items() for _ in carriers))
    return DeterministicMDP(start, tuple(successors), sizes, A)
