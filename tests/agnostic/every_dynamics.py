"""Spanning capacity by the definition: every deterministic MDP, or every map of blocks to states, nothing pruned."""

import itertools
from functools import cache

from pgtheory.agnostic import PolicyClass


def by_every_mdp(policies: PolicyClass) -> tuple[int, ...]:
    """Values by layer: every start state, every successor of every pair."""
    sizes, A = policies.sizes, policies.n_actions
    best = [0] * policies.horizon
    maps = [itertools.product(range(after), repeat=S * A) for S, after in itertools.pairwise(sizes)]
    for start, *successors in itertools.product(range(sizes[0]), *maps):
        here = {start: policies.everyone}
        for h in range(policies.horizon):
            pairs = {
                (s, a): present & mask
                for s, present in here.items()
                for a, mask in enumerate(policies.masks[h][s])
                if present & mask
            }
            best[h] = max(best[h], len(pairs))
            here = {}
            for (s, a), present in pairs.items() if h < len(successors) else ():
                after = successors[h][s * A + a]
                here[after] = here.get(after, 0) | present
    return tuple(best)


def by_every_map(policies: PolicyClass) -> tuple[int, ...]:
    """Values by layer: a recursion over the sets of policies at the reachable pairs, memoised, no state exchanged."""

    @cache
    def value(h: int, blocks: tuple[int, ...], target: int) -> int:
        if h == target:
            return len(blocks)
        best = 0
        for states in itertools.product(range(policies.sizes[h + 1]), repeat=len(blocks)):
            merged: dict[int, int] = {}
            for block, s in zip(blocks, states):
                merged[s] = merged.get(s, 0) | block
            after = sorted(
                block & mask
                for s, block in merged.items()
                for mask in policies.masks[h + 1][s]
                if block & mask
            )
            best = max(best, value(h + 1, tuple(after), target))
        return best

    starts = [tuple(sorted(filter(None, state))) for state in policies.masks[0]]
    return tuple(max(value(0, blocks, h) for blocks in starts) for h in range(policies.horizon))
