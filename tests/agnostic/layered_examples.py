"""Layered MDPs for the tests: a worked example, random ones, and evaluation by listing trajectories."""

import itertools

import numpy as np

from pgtheory.agnostic import LayeredMDP


def worked_mdp() -> LayeredMDP:
    """Two states, two layers, two actions."""
    P = [[[0.75, 0.25], [0.25, 0.75]], [[0.5, 0.5], [1.0, 0.0]]]
    return LayeredMDP([1, 0], [P], [np.zeros((2, 2)), [[0.2, 0.9], [0.5, 0.1]]], name="W")


def random_mdp(rng, sizes=(3, 3, 3), A=2, concentration=0.3) -> LayeredMDP:
    """Dirichlet start and rows, uniform rewards in [0, 1/H]."""
    steps = [
        np.array([[rng.dirichlet(np.full(after, concentration)) for _ in range(A)] for _ in range(S)])
        for S, after in itertools.pairwise(sizes)
    ]
    rewards = [rng.random((S, A)) / len(sizes) for S in sizes]
    return LayeredMDP(rng.dirichlet(np.full(sizes[0], concentration)), steps, rewards)


def by_trajectories(mdp: LayeredMDP, policy) -> tuple[float, list[np.ndarray]]:
    """Value and occupancies [S_h] of one policy (H arrays [S_h]), summed over all trajectories of states."""
    value, d = 0.0, [np.zeros(S) for S in mdp.sizes]
    for path in itertools.product(*map(range, mdp.sizes)):
        a = [int(policy[h][s]) for h, s in enumerate(path)]
        p = mdp.start[path[0]]
        for h in range(mdp.horizon - 1):
            p *= mdp.transitions[h][path[h], a[h], path[h + 1]]
        value += p * sum(mdp.rewards[h][s, a[h]] for h, s in enumerate(path))
        for h, s in enumerate(path):
            d[h][s] += p
    return value, d
