"""Spanning capacities in closed form, and the counting bounds beside them; all derived in this project."""

from __future__ import annotations

from math import comb

from pgtheory.mdp import validate


def singletons_capacity(states: int, horizon: int) -> int:
    r""":math:`\min(H,S)+1`, of singletons and of the 1-active class. Derived here: each layer adds at most one pair."""
    return min(*_sizes(states, horizon)) + 1


def tons_capacity(ell: int, horizon: int) -> int:
    r""":math:`\sum_{i\le\ell}\binom Hi` of :math:`\ell`-tons on large layers. Derived here: pairs are 0/1 strings."""
    ell = validate.positive_integer("ell", ell, 0)
    return sum(comb(validate.positive_integer("horizon", horizon), i) for i in range(ell + 1))


def all_active_capacity(horizon: int) -> int:
    r""":math:`1+H(H+1)/2` on large layers. Derived here: the index first met at layer t adds at most H-t+1 pairs."""
    H = validate.positive_integer("horizon", horizon)
    return 1 + H * (H + 1) // 2


def open_loop_capacity(states: int, horizon: int, n_actions: int = 2) -> int:
    r""":math:`\min\{A^H,AS\}`, of the open-loop and of the tabular class. Derived here."""
    S, H = _sizes(states, horizon)
    A = validate.positive_integer("n_actions", n_actions)
    return min(A**H, A * S)


def thresholds_capacity(points: int, horizon: int) -> int:
    r""":math:`\min\{N+1,2^H\}`, though the VC dimension is one. Derived here."""
    N, H = _sizes(points, horizon)
    return min(N + 1, 2**H)


def littlestone_leaves(dimension: int, depth: int) -> int:
    r""":math:`T_h\le\sum_{i\le L}\binom hi` for two actions and Littlestone dimension L.

    Derived here (Sauer–Shelah on trees); a standard fact, not checked against the papers.
    """
    L = validate.positive_integer("dimension", dimension, 0)
    h = validate.positive_integer("depth", depth)
    return sum(comb(h, i) for i in range(min(L, h) + 1))


def natarajan_policies(dimension: int, states: int, n_actions: int) -> int:
    r""":math:`|\Pi|\le|\mathcal S|^dA^{2d}` for Natarajan dimension d, over all states together.

    Recalled from arXiv:2310.06113, not read again.
    """
    d = validate.positive_integer("dimension", dimension, 0)
    S = validate.positive_integer("states", states)
    return int(S**d * validate.positive_integer("n_actions", n_actions) ** (2 * d))


def _sizes(states: int, horizon: int) -> tuple[int, int]:
    return validate.positive_integer("states", states), validate.positive_integer("horizon", horizon)
