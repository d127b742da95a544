"""Agnostic policy learning: seconds of exact capacities and of one run of the online algorithms, on one core.

    python bench/agnostic.py

The search for the spanning capacity stands beside the plain recursion over all maps of blocks to states (no bound, no
exchange of states), where that one ends in seconds. Nobody else computes these numbers.
"""

import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import itertools
from functools import cache

import numpy as np

from pgtheory import agnostic
from pgtheory.agnostic.access import HybridResets, Online
from pgtheory.agnostic.emulator import policy_emulator
from pgtheory.agnostic.instances import balanced_lock
from pgtheory.agnostic.popler import popler
from pgtheory.agnostic.problems import special_walk

TABLE = [
    agnostic.PolicyClass([np.eye(5, dtype=int)], name="contextual bandit"),
    *(agnostic.tabular(*shape) for shape in ((2, 2), (2, 3), (2, 2, 3))),
    *(agnostic.singletons(S, H) for S, H in ((3, 4), (4, 4), (5, 5))),
    *(agnostic.tons(2, S, H) for S, H in ((4, 3), (3, 3), (2, 3), (3, 4), (8, 4))),
    *(agnostic.tons(3, S, H) for S, H in ((4, 3), (3, 4), (8, 4))),
    *(agnostic.one_active(S, H) for S, H in ((3, 4), (4, 4))),
    *(agnostic.all_active(n, n) for n in (1, 2, 3)),
    *(
        agnostic.all_active(S, H, n)
        for S, H, n in ((2, 3, 2), (4, 3, 4), (5, 4, 4), (6, 4, 4), (7, 4, 4), (4, 4, 3))
    ),
    *(agnostic.open_loop(S, H) for S, H in ((2, 2), (4, 3), (3, 3), (2, 3))),
    *(agnostic.thresholds(N, H) for N, H in ((3, 2), (4, 3), (7, 3))),
]


def seconds(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def by_every_map(policies):
    """The recursion as it is defined, memoised on the sets of policies alone."""

    @cache
    def value(h, blocks, target):
        if h == target:
            return len(blocks)
        best = 0
        for states in itertools.product(range(policies.sizes[h + 1]), repeat=len(blocks)):
            merged = {}
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
    return max(value(0, blocks, h) for blocks in starts for h in range(policies.horizon))


def capacities():
    taken, found = seconds(lambda: [agnostic.spanning_capacity(policies) for policies in TABLE])
    exact = all(one.is_exact for one in found)
    print(f"spanning capacity of {len(TABLE)} classes of the table, all layers, exact {exact}: {taken:.2f} s")
    for policies in (agnostic.one_active(6, 6), agnostic.all_active(11, 5), agnostic.tabular(4, 4)):
        taken, found = seconds(lambda policies=policies: agnostic.spanning_capacity(policies))
        print(f"  {policies.name}, {len(policies)} policies: {found.value}, {taken:.2f} s")
    for policies in (agnostic.singletons(5, 4), agnostic.one_active(5, 5), agnostic.all_active(4, 4, 3)):
        ours, found = seconds(lambda policies=policies: agnostic.spanning_capacity(policies))
        plain, value = seconds(lambda policies=policies: by_every_map(policies))
        assert value == found.value
        print(f"  {policies.name}: {ours:.3f} s; plain recursion {plain:.2f} s ({plain / ours:.0f}×)")


def algorithms():
    H, rng = 14, np.random.default_rng(0)
    policies = agnostic.one_active(2, H)
    sunflower = agnostic.Sunflower(
        agnostic.layer_core([2] * H), (frozenset((h, 0) for h in range(1, H + 1)),) * len(policies)
    )
    access = Online(special_walk(rng.integers(2, size=H)), rng)
    run = lambda: popler(access, policies, sunflower, epsilon=0.3, n_start=4000, n_petal=4000, rng=rng)
    taken, found = seconds(run)
    print(f"POPLER, 1-active, H = {H}, {len(policies)} policies, {found.episodes} episodes: {taken:.1f} s")
    H = 16
    policies, secret = agnostic.open_loop(1, H), rng.integers(2, size=H)
    access = HybridResets(balanced_lock(secret), rng)
    run = lambda: policy_emulator(
        access, policies, draws=20, transitions=1, rollouts=96, tau=0.25, start_draws=1
    )
    taken, found = seconds(run)
    print(
        f"policy emulator, balanced lock, H = {H}, {len(policies)} policies, {found.rollouts} rollouts: {taken:.1f} s"
    )


if __name__ == "__main__":
    capacities()
    algorithms()
