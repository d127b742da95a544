r"""Sunflowers: a few core policies of which every policy of a class is a petal (arXiv:2310.06113).

:math:`\pi` is an :math:`\mathcal S_\pi`-petal on a core if every piece of trajectory that follows :math:`\pi`,
:math:`(s_h,a_h,\dots,s_{h'},a_{h'})`, is followed by some core policy, or meets :math:`\mathcal S_\pi` after its first
state. A class is a (K, D)-sunflower if K core policies make each of its policies a petal with at most D states in its
set.

States are written ``(h, s)`` with layers h = 1..H.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.agnostic.classes import tabular
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate

State = tuple[int, int]
Path = tuple[State, ...]


@dataclass(frozen=True, eq=False)
class Sunflower:
    """A core, and the set of states that makes each policy of the class a petal.

    Attributes
    ----------
    core : PolicyClass
    petals : tuple of frozenset of (h, s)
        One for each policy of the class.
    """

    core: PolicyClass
    petals: tuple[frozenset[State], ...]

    @property
    def K(self) -> int:
        """Number of core policies."""
        return len(self.core)

    @property
    def D(self) -> int:
        """Size of the largest set."""
        return max(map(len, self.petals))


def layer_core(sizes: Sequence[int]) -> PolicyClass:
    """The core of the standard classes: all-0, and for each layer "1 in this layer, 0 elsewhere"; K = H + 1."""
    layers = [validate.positive_integer("sizes", S) for S in validate.sequence("sizes", sizes, "layer sizes")]
    ones = np.vstack([np.zeros((1, len(layers)), int), np.eye(len(layers), dtype=int)])
    tables = [np.repeat(ones[:, h : h + 1], S, axis=1) for h, S in enumerate(layers)]
    return PolicyClass(tables, 2, name="layer core")


def uncovered_path(core: PolicyClass, policy: Sequence[Any], petals: Collection[State] = ()) -> Path | None:
    """A piece of trajectory that proves that a policy is no petal; None if it is one.

    The states of the piece are followed by ``policy`` (H arrays [S_h], or [1, S_h] as ``PolicyClass.policy`` gives
    them), by no core policy, and are not in ``petals`` except perhaps the first. Of the shortest such pieces, one.
    """
    validate.instance_of("core", core, PolicyClass)
    agree = _agreement(core, policy)
    avoid = _check_states(core, petals)
    found: Path | None = None
    for h in range(core.horizon):
        path = _uncovered_from(agree, avoid, h)
        if path is not None and (found is None or len(path) < len(found)):
            found = path
    return found


def smallest_petals(core: PolicyClass, policy: Sequence[Any]) -> frozenset[State] | None:
    """A smallest set of states that makes a policy a petal on the core; None if no set does.

    Adding states never breaks a petal, so a set is good exactly if it meets every uncovered piece after its first
    state: pieces are collected until a smallest set that meets them all is good.
    """
    validate.instance_of("core", core, PolicyClass)
    agree = _agreement(core, policy)
    pieces: list[frozenset[State]] = []
    while True:
        petals = _hitting_set(pieces)
        missed = [_uncovered_from(agree, petals, h) for h in range(core.horizon)]
        uncovered = [frozenset(path[1:]) for path in missed if path is not None]
        if not uncovered:
            return petals
        if not all(uncovered):
            return None  # the core does not even know the action in the first state
        pieces += uncovered


def find_sunflower(policies: PolicyClass, core: PolicyClass) -> Sunflower | None:
    """The smallest sets of states that make every policy a petal on this core; None if some policy is none."""
    validate.instance_of("policies", policies, PolicyClass)
    petals = []
    for i in range(len(policies)):
        found = smallest_petals(core, policies.policy(i))
        if found is None:
            return None
        petals.append(found)
    return Sunflower(core, tuple(petals))


def is_sunflower(
    policies: PolicyClass,
    core: PolicyClass,
    petals: Sequence[Collection[State]] | Mapping[int, Collection[State]],
) -> bool:
    """Whether each policy is a petal on the core with the set of states given for it (by its index)."""
    validate.instance_of("policies", policies, PolicyClass)
    if not isinstance(petals, Mapping) and len(petals) != len(policies):
        raise ValueError(f"petals must hold {len(policies)} sets, one for each policy, got {len(petals)}")
    given = petals.get if isinstance(petals, Mapping) else lambda i, _: petals[i]
    return all(uncovered_path(core, policies.policy(i), given(i, ())) is None for i in range(len(policies)))


def smallest_core(
    policies: PolicyClass, D: int, K: int, candidates: PolicyClass | None = None
) -> Sunflower | None:
    """A smallest core of at most K policies with at most D states for each policy; None if there is none.

    Every set of ``candidates`` is tried, by default of all policies on these states: for tiny cases only.
    """
    validate.instance_of("policies", policies, PolicyClass)
    D, K = validate.positive_integer("D", D, 0), validate.positive_integer("K", K)
    if candidates is None:
        everything = tabular(1, sum(policies.sizes), policies.n_actions)
        ends = np.cumsum([0, *policies.sizes])
        rows = np.concatenate(everything.actions, 1)
        tables = [rows[:, a:b] for a, b in itertools.pairwise(ends)]
        candidates = PolicyClass(tables, policies.n_actions)
    for size in range(1, min(K, len(candidates)) + 1):
        for chosen in itertools.combinations(range(len(candidates)), size):
            core = candidates.subset(chosen)
            petals: list[frozenset[State]] = []
            for i in range(len(policies)):
                found = smallest_petals(core, policies.policy(i))
                if found is None or len(found) > D:
                    break
                petals.append(found)
            else:
                return Sunflower(core, tuple(petals))
    return None


def _agreement(core: PolicyClass, policy: Sequence[Any]) -> list[list[int]]:
    """For each layer and state, the mask of the core policies that act as ``policy`` does."""
    given = [np.asarray(x).reshape(-1) for x in validate.sequence("policy", policy, "arrays [S_h]")]
    if tuple(map(len, given)) != core.sizes:
        raise ValueError(
            f"policy must act in {list(core.sizes)} states by layer, as the core does, got {list(map(len, given))}"
        )
    for h, x in enumerate(given):
        validate.indices(f"policy[{h}]", x, (core.sizes[h],), "[S_h]", 0, core.n_actions - 1)
    return [[core.masks[h][s][int(a)] for s, a in enumerate(row)] for h, row in enumerate(given)]


def _check_states(core: PolicyClass, petals: Collection[State]) -> frozenset[State]:
    for state in petals:
        h, s = state
        if not 1 <= h <= core.horizon or not 0 <= s < core.sizes[h - 1]:
            raise ValueError(
                f"petals must be states (h, s) with h in 1..{core.horizon} and s below the size of its layer, "
                f"got {state}"
            )
    return frozenset(petals)


def _uncovered_from(agree: list[list[int]], petals: frozenset[State], h: int) -> Path | None:
    """A shortest uncovered piece that begins in layer index h: sets of core policies still followed, layer by layer."""
    front: dict[int, Path] = {}
    for s, mask in enumerate(agree[h]):
        front.setdefault(mask, ((h + 1, s),))
    for k in range(h + 1, len(agree) + 1):
        if 0 in front:
            return front[0]
        following: dict[int, Path] = {}
        if k < len(agree):
            for mask, path in _smallest(front).items():
                for s, allowed in enumerate(agree[k]):
                    if (k + 1, s) not in petals:
                        following.setdefault(mask & allowed, (*path, (k + 1, s)))
        front = following
    return None


def _smallest(front: dict[int, Path]) -> dict[int, Path]:
    """Masks that contain no other: if any piece gets uncovered, one of theirs does."""
    return {m: path for m, path in front.items() if not any(o != m and o & m == o for o in front)}


def _hitting_set(pieces: list[frozenset[State]]) -> frozenset[State]:
    """A smallest set that meets every piece, by trying every state of the first piece that is not met."""

    def grow(chosen: frozenset[State], most: int) -> frozenset[State] | None:
        missed = next((piece for piece in pieces if not piece & chosen), None)
        if missed is None:
            return chosen
        if len(chosen) == most:
            return None
        for state in sorted(missed):
            found = grow(chosen | {state}, most)
            if found is not None:
                return found
        return None

    return next(found for size in itertools.count() if (found := grow(frozenset(), size)) is not None)
