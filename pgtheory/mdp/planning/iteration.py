"""Value iteration, modified policy iteration and policy iteration."""

import numpy as np

from pgtheory.mdp.planning.bellman import Bellman
from pgtheory.mdp.planning.certificate import Solution, certify, gap
from pgtheory.mdp.resolvent import chain_resolvent

SWEEPS = 100  # most evaluation backups between two improvements of modified policy iteration
SHRINK = 0.1  # evaluation stops once the span of its change is this fraction of the improvement's


def value_iteration(bellman: Bellman, tol: float, most: int) -> Solution:
    """Repeat V <- TV until the certified error is below tol (MacQueen's bounds, not the sup-norm rule)."""
    V, history = np.zeros(bellman.mdp.n_states), []
    for t in range(1, most + 1):
        TV, _, low, high = bellman.improve(V)
        history.append(gap(bellman, V, low, high) / 2)
        if history[-1] <= tol:
            return certify(bellman, V, "vi", t, history=tuple(history))
        V = TV
    return certify(bellman, V, "vi", most, history=tuple(history))


def modified_policy_iteration(bellman: Bellman, tol: float, most: int) -> Solution:
    """Improve, then evaluate the greedy policy roughly: as long as its change still varies over states.

    The number of evaluation backups adapts: until the span of the change has shrunk tenfold, at most 100
    (Puterman & Shin 1978; Puterman 1994, Sec. 6.5).
    """
    V, history, sweeps = np.zeros(bellman.mdp.n_states), [], 0
    for t in range(1, most + 1):
        TV, policy, low, high = bellman.improve(V)
        history.append(gap(bellman, V, low, high) / 2)
        if history[-1] <= tol:
            return certify(bellman, V, "mpi", t, sweeps, tuple(history))
        floor = tol * (1 - bellman.gamma) / max(bellman.gamma, 1e-300)
        V, done, low, high = bellman.evaluate(TV, policy, SWEEPS, max(SHRINK * (high - low), floor / 2))
        sweeps += done
        if done and not bellman.mdp.terminal.any():
            V += bellman.gamma / (1 - bellman.gamma) * (low + high) / 2
    return certify(bellman, V, "mpi", most, sweeps, tuple(history))


def policy_iteration(bellman: Bellman, tol: float, most: int) -> Solution:
    """Howard's policy iteration: evaluate exactly, improve greedily, until the certificate holds."""
    mdp = bellman.mdp
    history: list[float] = []
    _, policy, _, _ = bellman.improve(np.zeros(mdp.n_states))
    while len(history) < most:
        chosen = np.arange(mdp.n_states), policy
        rows = mdp.pairs[chosen[0] * mdp.n_actions + policy]
        solver = chain_resolvent([rows], mdp.discount, 1e-13)
        V = solver.solve(mdp.r[chosen][None, None])[0, 0]
        _, greedy, low, high = bellman.improve(V)
        history.append(gap(bellman, V, low, high) / 2)
        if history[-1] <= tol or (greedy == policy).all():
            break
        policy = greedy
    return certify(bellman, V, "pi", len(history), history=tuple(history))
