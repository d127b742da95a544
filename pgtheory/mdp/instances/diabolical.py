"""The combination lock of provable exploration: two good states, one right action in each, and no way back."""

from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.registry import instance
from pgtheory.mdp.layered import layered

ANTI_SHAPED = ("on-failure", "at-end")
GOOD, DEAD = slice(0, 2), 2


@instance
def diabolical_lock(
    horizon: int = 5,
    n_actions: int = 10,
    secret: Any = None,
    anti_shaped: str = "on-failure",
    seed: int = 0,
) -> FiniteMDP:
    """The diabolical combination lock (Misra et al. 2020): H right actions in a row pay 1, a failure .05 on average.

    Three states a step: two good ones and a dead one; state ``3 * h + s`` is state ``s`` at step h. The right action
    of a good state leads to either good one evenly (and pays 1 at the last step), any other to the dead one. The
    anti-shaped reward, .1 with probability one half, is in the MDP by its mean.

    Parameters
    ----------
    horizon, n_actions : int
    secret : int array [H, 2], optional
        The right action at every step in each good state; drawn by ``seed`` by default.
    anti_shaped : {"on-failure", "at-end"}
        Paid on dying, as in the papers, or at the last step to whoever is dead or dies there, as in the code of
        arXiv:2311.08384.
    seed : int
    """
    H, A = validate.positive_integer("horizon", horizon), validate.positive_integer("n_actions", n_actions, 2)
    if secret is None:
        rng = np.random.default_rng(validate.positive_integer("seed", seed, 0))
        right = rng.integers(A, size=(H, 2))
    else:
        right = validate.indices("secret", secret, (H, 2), "[H, 2]", 0, A - 1)
    if anti_shaped not in ANTI_SHAPED:
        raise ValueError(f"anti_shaped must be one of {ANTI_SHAPED}, got {anti_shaped!r}")
    opens = np.eye(A, dtype=bool)[right]  # [H, 2, A]
    P, r = np.zeros((H, 3, A, 3)), np.zeros((H, 3, A))
    P[:, GOOD][opens] = 0.5, 0.5, 0.0
    P[:, GOOD][~opens] = P[:, DEAD] = 0.0, 0.0, 1.0
    paid = slice(None) if anti_shaped == "on-failure" else slice(-1, None)
    r[paid, GOOD] = 0.05 * ~opens[paid]
    if anti_shaped == "at-end":
        r[-1, DEAD] = 0.05
    r[-1, GOOD][opens[-1]] = 1.0
    return layered(list(P[:-1]), list(r), [0.5, 0.5, 0.0], name="diabolical-lock")
