"""MDPs small enough to work out by hand."""

from collections.abc import Sequence

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.registry import instance


@instance
def two_state(discount: float = 0.9, horizon: int | None = None) -> FiniteMDP:
    """Two states, two actions: the worked example whose numbers the tests pin.

    Action 1 in state 0 pays 0.2 and mostly leads to state 1; there action 0 pays 1 and action 1 costs 0.5
    and stays for good.
    """
    P = [[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.0, 1.0]]]
    R = [[0.0, 0.2], [1.0, -0.5]]
    return FiniteMDP(P, R, discount, [0.7, 0.3], horizon=horizon, name="two-state")


@instance
def bandit(rewards: Sequence[float] = (1.0, 0.5, 0.0)) -> FiniteMDP:
    """A k-armed bandit: one decision, then the episode ends. J is the expected reward of the arm pulled."""
    r = validate.real_array("rewards", rewards, (None,), "[arms]")
    if r.size == 0:
        raise ValueError("rewards must hold at least one arm, got none")
    P = np.zeros((2, r.size, 2))
    P[:, :, 1] = 1.0
    return FiniteMDP(
        P, np.stack([r, np.zeros_like(r)]), 0.0, [1.0, 0.0], terminal=[False, True], name="bandit"
    )
