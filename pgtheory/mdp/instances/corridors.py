"""States in a row: chains, RiverSwim and combination locks, where exploration is the difficulty."""

from collections.abc import Sequence

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.registry import instance


@instance
def chain(n_states: int = 5, slip: float = 0.2, discount: float = 0.95) -> FiniteMDP:
    """The chain of Dearden, Friedman & Russell (1998): walk on for a far 10, or go back for a sure 2.

    Action 0 walks right (10 at the far end, which it keeps); action 1 returns to the start for reward 2.
    With probability ``slip`` the other action's outcome happens. Starts in state 0.
    """
    n = validate.positive_integer("n_states", n_states, 2)
    slip = validate.probability("slip", slip)
    outcome_P, outcome_r = np.zeros((n, 2, n)), np.zeros((n, 2))
    outcome_P[np.arange(n), 0, np.minimum(np.arange(n) + 1, n - 1)] = 1.0
    outcome_P[:, 1, 0] = 1.0
    outcome_r[n - 1, 0] = 10.0
    outcome_r[:, 1] = 2.0
    mix = np.array([[1 - slip, slip], [slip, 1 - slip]])
    P, r = np.einsum("ab,sbt->sat", mix, outcome_P), outcome_r @ mix
    return FiniteMDP(P, r, discount, np.eye(n)[0], name="chain")


@instance
def river_swim(n_states: int = 6, discount: float = 0.95) -> FiniteMDP:
    """RiverSwim (Strehl & Littman 2008): swim against the current for 1, or drift back for 0.005.

    Action 0 drifts left for certain; action 1 swims: +1 with probability 0.35 (0.6 at the first state),
    stays 0.6 (0.4 at the first state), -1 with 0.05 (0.4 at the last), as in Osband et al. (2013).
    Starts in state 0.
    """
    n = validate.positive_integer("n_states", n_states, 2)
    P, r = np.zeros((n, 2, n)), np.zeros((n, 2))
    for s in range(n):
        P[s, 0, max(s - 1, 0)] = 1.0
        if s == 0:
            P[s, 1, [0, 1]] = 0.4, 0.6
        elif s == n - 1:
            P[s, 1, [n - 2, n - 1]] = 0.4, 0.6
        else:
            P[s, 1, [s - 1, s, s + 1]] = 0.05, 0.6, 0.35
    r[0, 0], r[n - 1, 1] = 0.005, 1.0
    return FiniteMDP(P, r, discount, np.eye(n)[0], name="river-swim")


@instance
def combination_lock(
    length: int = 5,
    n_actions: int = 3,
    combination: Sequence[int] | None = None,
    wrong: str = "reset",
    discount: float = 0.95,
) -> FiniteMDP:
    """A combination lock: only the right action in every position opens it, for reward 1.

    Parameters
    ----------
    length, n_actions : int
    combination : sequence of int, optional
        The right action of each position; ``h mod n_actions`` at position h by default.
    wrong : {"reset", "dead"}
        A wrong action returns to the first position, or ends the episode.
    discount : float
    """
    n, k = validate.positive_integer("length", length), validate.positive_integer("n_actions", n_actions, 2)
    right = np.arange(n) % k
    if combination is not None:
        right = validate.indices("combination", combination, (n,), "[length]", 0, k - 1)
    if wrong not in ("reset", "dead"):
        raise ValueError(f"wrong must be 'reset' or 'dead', got {wrong!r}")
    end = n
    P, r = np.zeros((n + 1, k, n + 1)), np.zeros((n + 1, k))
    P[:, :, 0 if wrong == "reset" else end] = 1.0
    for h in range(n):
        P[h, right[h]] = np.eye(n + 1)[h + 1]
    P[end] = np.eye(n + 1)[end]
    r[n - 1, right[n - 1]] = 1.0
    terminal = np.arange(n + 1) == end
    return FiniteMDP(P, r, discount, np.eye(n + 1)[0], terminal=terminal, name="combination-lock")
