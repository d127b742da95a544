"""Settings that the tests of the exact half share: worked numbers on two states, and random ones."""

import numpy as np

from pgtheory.hybrid import Setting
from pgtheory.mdp import FiniteMDP, make

P = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.0, 1.0]]])
R = np.array([[1 / 3, 7 / 15], [1.0, 0.0]])
THETA = np.array([[0.3, -0.2], [0.5, 0.1]])
PI = np.exp(THETA) / np.exp(THETA).sum(-1, keepdims=True)
EVEN = np.full((2, 2), 0.25)
TWO = FiniteMDP(P, R, 0.9)


def two(nu=EVEN, reset=EVEN, mdp=TWO):
    return Setting(mdp, nu, reset)


def random_setting(rng, n_states=4, n_actions=3, reset_pairs=True, discount=0.9):
    """A dense random MDP with full-support offline data and reset."""
    mdp = make(
        "dirichlet",
        n_states=n_states,
        n_actions=n_actions,
        discount=discount,
        seed=int(rng.integers(1 << 30)),
    )
    nu, pairs = rng.dirichlet(np.ones(n_states * n_actions), 2).reshape(2, n_states, n_actions)
    return Setting(mdp, nu, pairs if reset_pairs else rng.dirichlet(np.ones(n_states)))


def random_policy(rng, setting):
    S, A = setting.mdp.r.shape
    return rng.dirichlet(np.ones(A), S)


def occupancy_by_hand(setting, pi, steps=400):
    """(1 - gamma) sum over t of gamma^t Pr(s_t, a_t), one step after the other."""
    mdp, pairs = setting.mdp.to_dense(), setting.first_pairs(pi)
    total = np.zeros(pairs.shape)
    for t in range(steps):
        total += mdp.discount**t * pairs
        pairs = np.einsum("sa,sat->t", pairs, mdp.P)[:, None] * pi
    return (1 - mdp.discount) * total
