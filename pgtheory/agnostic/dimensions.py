"""Combinatorial dimensions of a class of functions on the states: VC, Natarajan and Littlestone."""

from __future__ import annotations

import itertools
from functools import cache

from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate

Splits = list[tuple[int, ...]]


def littlestone_dimension(policies: PolicyClass) -> int:
    """Depth of the deepest complete binary tree of states all of whose branches some policy follows.

    Every node of the tree names a state and two different actions, one for each child. Exact, by recursion on
    the set of policies that are left, memoised; exponential in the dimension at worst.
    """
    validate.instance_of("policies", policies, PolicyClass)
    splits = _splits(policies)

    @cache
    def depth(left: int) -> int:
        best, most = 0, left.bit_count().bit_length() - 1  # a tree of depth d has 2^d branches
        for by_action in splits:
            parts = sorted((left & m for m in by_action if left & m), key=int.bit_count, reverse=True)
            for one, other in itertools.combinations(parts, 2):
                if other.bit_count().bit_length() <= best:
                    break  # the smaller side is too small to improve
                best = max(best, 1 + min(depth(one), depth(other)))
                if best == most:
                    return best
        return best

    return depth(policies.everyone)


def natarajan_dimension(policies: PolicyClass) -> int:
    """Size of the largest set of states that the class shatters in Natarajan's sense.

    For two actions this is the VC dimension. States are shattered if two actions can be named for each such that
    every choice among them is made by some policy. Exact, by extending shattered sets one state at a time.
    """
    validate.instance_of("policies", policies, PolicyClass)
    splits = _splits(policies)
    pairs = [(i, a, b) for i, s in enumerate(splits) for a, b in itertools.combinations(range(len(s)), 2)]

    def extend(cells: tuple[int, ...], first: int) -> int:
        best = 0
        smallest = min(c.bit_count() for c in cells)
        for position in range(first, len(pairs)):
            i, a, b = pairs[position]
            if smallest.bit_length() - 1 <= best:
                break
            halves = tuple(c & m for m in (splits[i][a], splits[i][b]) for c in cells)
            if all(halves):
                after = next((p for p in range(position, len(pairs)) if pairs[p][0] > i), len(pairs))
                best = max(best, 1 + extend(halves, after))
        return best

    return extend((policies.everyone,), 0)


def vc_dimension(policies: PolicyClass) -> int:
    """Size of the largest set of states on which a class with two actions makes every choice."""
    validate.instance_of("policies", policies, PolicyClass)
    if policies.n_actions > 2:
        raise ValueError(
            f"the VC dimension belongs to classes with two actions, got {policies.n_actions}: "
            "use natarajan_dimension"
        )
    return natarajan_dimension(policies)


def _splits(policies: PolicyClass) -> Splits:
    """Masks of the policies by action, of every state where they differ; states that split alike once."""
    found = {tuple(m for m in state if m) for layer in policies.masks for state in layer}
    return sorted(s for s in found if len(s) > 1)
