"""Layered MDPs: finite-horizon problems whose states, transitions and rewards may change with time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.transitions import row_sum_tolerance, rows_sum_to_one


def layered(
    transitions: Sequence[Any],
    rewards: Sequence[Any],
    start: Any = None,
    *,
    discount: float = 1.0,
    name: str = "",
) -> FiniteMDP:
    r"""A layered MDP: layer h leads only to layer h+1, and the last one to the end of the episode.

    Parameters
    ----------
    transitions : sequence of H-1 arrays [S_h, A, S_{h+1}]
        How layer h leads to layer h+1; a finite-horizon MDP with transitions that change in time is the
        case of equal ``S_h``.
    rewards : sequence of H arrays [S_h, A]
        Expected rewards of each layer.
    start : array [S_0], optional
        Start distribution over the first layer; uniform by default.
    discount : float
        1 by default.

    Returns
    -------
    FiniteMDP
        On the union of the layers plus one terminal state (the last), with ``horizon`` = H. States are
        numbered layer by layer, so a stationary policy on it is a time-dependent policy.
    """
    layers = validate.sequence("rewards", rewards, "arrays [S_h, A]")
    r = [validate.real_array(f"rewards[{h}]", x, (None, None), "[S_h, A]") for h, x in enumerate(layers)]
    transitions = validate.sequence("transitions", transitions, "arrays [S_h, A, S_h+1]")
    if not r:
        raise ValueError("rewards must hold at least one layer, got none")
    if len(transitions) != len(r) - 1:
        raise ValueError(
            f"transitions must hold H-1 = {len(r) - 1} arrays for {len(r)} layers, got {len(transitions)}"
        )
    A, sizes = r[0].shape[1], [x.shape[0] for x in r]
    first = np.concatenate([[0], np.cumsum(sizes)])
    n = int(first[-1]) + 1
    P, R = sparse.lil_array((n * A, n)), np.zeros((n, A))
    for h, reward in enumerate(r):
        if reward.size == 0:
            raise ValueError(
                f"rewards[{h}] must have at least one state and action, got {list(reward.shape)}"
            )
        if reward.shape[1] != A:
            raise ValueError(
                f"rewards[{h}] must have {A} actions like the first layer, got {reward.shape[1]}"
            )
        R[first[h] : first[h + 1]] = reward
        rows = slice(first[h] * A, first[h + 1] * A)
        if h == len(r) - 1:
            P[rows, n - 1] = 1.0
        else:
            step = _step(f"transitions[{h}]", transitions[h], (sizes[h], A, sizes[h + 1]))
            P[rows, first[h + 1] : first[h + 2]] = step
    rho = np.zeros(n)
    rho[: sizes[0]] = 1.0 / sizes[0] if start is None else validate.distribution("start", start, sizes[0])
    end = np.arange(n) == n - 1
    dense = n * n * A <= 2_000_000
    transition_matrix = P.toarray().reshape(n, A, n) if dense else P.tocsr()
    return FiniteMDP(transition_matrix, R, discount, rho, terminal=end, horizon=len(r), name=name)


def unroll(mdp: FiniteMDP, horizon: int | None = None) -> FiniteMDP:
    """The layered MDP in which every state carries its time: a policy on it may change with time.

    State ``h * S + s`` is state ``s`` at time ``h``. Action masks are not carried over, so an MDP with
    forbidden actions is refused.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    H = horizon if horizon is not None else mdp.horizon
    if H is None:
        raise ValueError("horizon must be given to unroll an infinite-horizon MDP, got None")
    if not mdp.actions.all():
        raise ValueError(
            "unroll needs all actions permitted in all states, got an MDP with forbidden actions"
        )
    P = mdp.to_dense().P
    steps = [P] * (validate.positive_integer("horizon", H) - 1)
    name = f"{mdp.name} unrolled".strip()
    return layered(steps, [mdp.r] * H, mdp.start, discount=mdp.discount, name=name)


def _step(name: str, value: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """One layer's transitions as rows [S_h * A, S_h+1], checked under their own name."""
    rows = validate.real_array(name, value, shape, "[S_h, A, S_h+1]").reshape(-1, shape[2])
    return rows_sum_to_one(rows, np.ones(shape[:2], bool), row_sum_tolerance(value), name)
