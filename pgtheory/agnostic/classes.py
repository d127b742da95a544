r"""The standard policy classes (table of arXiv:2310.06113), over ``horizon`` layers of ``states`` states each.

Actions are 0 and 1 unless a class says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import comb
from typing import Any

import numpy as np

from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate

MAX_POLICIES = 1 << 20
"""Larger classes are refused: every policy is listed."""


def tabular(states: int, horizon: int, n_actions: int = 2) -> PolicyClass:
    r"""All policies, :math:`\mathcal A^{\mathcal S}`."""
    S, H, A = _shape(states, horizon, n_actions)
    _refuse_more(f"tabular class of {H} layers of {S} states", A ** (S * H))
    return _by_columns(_words(A, S * H), S, H, A, f"tabular S{S}H{H}")


def open_loop(states: int, horizon: int, n_actions: int = 2) -> PolicyClass:
    """Policies whose action depends on the layer only; policy i plays the base-A digits of i, layer 1 first."""
    S, H, A = _shape(states, horizon, n_actions)
    _refuse_more(f"open-loop class of {H} layers", A**H)
    return _by_columns(np.repeat(_words(A, H), S, axis=1), S, H, A, f"open-loop S{S}H{H}")


def tons(ell: int, states: int, horizon: int) -> PolicyClass:
    r""":math:`\ell`-tons: action 1 in at most ``ell`` states of all layers together; policy 0 plays 0 everywhere."""
    S, H, _ = _shape(states, horizon)
    ell = validate.positive_integer("ell", ell, 0)
    _refuse_more(f"{ell}-tons on {S * H} states", sum(comb(S * H, k) for k in range(ell + 1)))
    ones = [c for k in range(min(ell, S * H) + 1) for c in itertools.combinations(range(S * H), k)]
    rows = np.zeros((len(ones), S * H), np.uint8)
    for row, where in zip(rows, ones):
        row[list(where)] = 1
    return _by_columns(rows, S, H, 2, f"{ell}-tons S{S}H{H}")


def singletons(states: int, horizon: int) -> PolicyClass:
    """Action 1 in one state at most (1-tons): the all-0 policy and one policy for each state."""
    return tons(1, states, horizon)


def one_active(states: int, horizon: int) -> PolicyClass:
    """Free to act in state 0 of every layer, action 0 elsewhere; policy i plays the binary digits of i."""
    return _active([0], *_shape(states, horizon)[:2], "1-active")


def all_active(states: int, horizon: int, active: int | None = None) -> PolicyClass:
    """Free to act in the states of one number j, the same in every layer; j below ``active`` (all by default)."""
    S, H, _ = _shape(states, horizon)
    n = S if active is None else validate.positive_integer("active", active)
    if n > S:
        raise ValueError(f"active must be at most the {S} states of a layer, got {n}")
    return _active(range(n), S, H, "all-active" if n == S else f"{n} of {S} active")


def thresholds(points: int, horizon: int) -> PolicyClass:
    """Action 1 from point w on, in every layer the same w in 0..points: linear separators of a line."""
    N, H, _ = _shape(points, horizon)
    rows = (np.arange(N) >= np.arange(N + 1)[:, None]).astype(np.uint8)
    return _by_columns(np.tile(rows, (1, H)), N, H, 2, f"thresholds N{N}H{H}")


def linear_separators(points: Any, horizon: int) -> PolicyClass:
    r"""Every labelling of points [N, d] by an affine half-space :math:`1\{w\cdot x+b>0\}`, the same in every layer.

    A labelling of the first points is extended to one more wherever a linear programme finds a separator.
    """
    x = validate.real_array("points", points, (None, None), "[N, d]")
    if x.size == 0:
        raise ValueError(f"points must hold at least one point and coordinate, got shape {list(x.shape)}")
    H = validate.positive_integer("horizon", horizon)
    lifted = np.concatenate([x, np.ones((len(x), 1))], 1)
    rows: list[tuple[int, ...]] = [()]
    for k in range(1, len(x) + 1):
        rows = [(*row, a) for row in rows for a in (0, 1) if _separable(lifted[:k], (*row, a))]
        _refuse_more(f"half-spaces on {len(x)} points", len(rows))
    table = np.tile(np.array(rows, np.uint8), (1, H))
    return _by_columns(table, len(x), H, 2, f"half-spaces N{len(x)}d{x.shape[1]}H{H}")


def from_rules(
    rules: Sequence[Callable[[int, int], int]], sizes: Sequence[int], n_actions: int = 2, *, name: str = ""
) -> PolicyClass:
    """A class of your own: each rule gives the action in state s of layer h = 1..H as ``rule(h, s)``."""
    given = validate.sequence("rules", rules, "functions of layer and state")
    layers = [validate.positive_integer("sizes", S) for S in validate.sequence("sizes", sizes, "layer sizes")]
    tables = [
        np.array([[rule(h, s) for s in range(S)] for rule in given], dtype=float).reshape(len(given), S)
        for h, S in enumerate(layers, 1)
    ]
    return PolicyClass(tables, n_actions, name=name)


def _active(numbers: Sequence[int], S: int, H: int, name: str) -> PolicyClass:
    _refuse_more(f"{name} class of {H} layers", len(numbers) << H)
    words = _words(2, H)
    tables = np.zeros((len(numbers), len(words), H, S), np.uint8)
    for row, j in zip(tables, numbers):
        row[:, :, j] = words
    return _by_columns(tables.reshape(-1, H * S), S, H, 2, f"{name} S{S}H{H}")


def _shape(states: Any, horizon: Any, n_actions: Any = 2) -> tuple[int, int, int]:
    return (
        validate.positive_integer("states", states),
        validate.positive_integer("horizon", horizon),
        validate.positive_integer("n_actions", n_actions),
    )


def _words(A: int, length: int) -> np.ndarray:
    """All words of ``length`` digits below A, in counting order: [A**length, length]."""
    return np.indices((A,) * length, dtype=np.uint8).reshape(length, -1).T if length else np.zeros((1, 0))


def _by_columns(rows: np.ndarray, S: int, H: int, A: int, name: str) -> PolicyClass:
    return PolicyClass([rows[:, h * S : (h + 1) * S] for h in range(H)], A, name=name)


def _refuse_more(what: str, n: int) -> None:
    if n > MAX_POLICIES:
        raise ValueError(f"{what} would list {n} policies, more than {MAX_POLICIES}: make it smaller")


def _separable(lifted: np.ndarray, labels: tuple[int, ...]) -> bool:
    from scipy.optimize import linprog

    signs = np.where(np.array(labels) == 1, 1.0, -1.0)
    found = linprog(
        np.zeros(lifted.shape[1]),
        A_ub=-signs[:, None] * lifted,
        b_ub=np.full(len(lifted), -1.0),
        bounds=(None, None),
    )
    return bool(found.status == 0)
