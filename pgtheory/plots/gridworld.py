"""A gridworld's values as colours and its policy as arrows."""

from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.grids import MOVES


def gridworld(
    ax: Any,
    mdp: FiniteMDP,
    V: np.ndarray,
    policy: np.ndarray | None = None,
    *,
    label: str = "$V^*$",
    moves: np.ndarray = MOVES,
) -> None:
    """Draw values [S] on the grid of an MDP, arrows for a deterministic policy [S], white crossed cells for exits.

    ``moves`` [A, 2] are the (row, column) steps of the actions: up, right, down, left by default.
    """
    import matplotlib.pyplot as plt

    validate.instance_of("mdp", mdp, FiniteMDP)
    if mdp.grid is None:
        raise ValueError(f"mdp must have a grid to be drawn as one, {mdp!r} has none")
    V = validate.real_array("V", V, (mdp.n_states,), "[S]")
    moves = validate.indices("moves", moves, (mdp.n_actions, 2), "[A, 2]", -1, 1)
    if policy is not None:
        policy = validate.indices("policy", policy, (mdp.n_states,), "[S]", 0, mdp.n_actions - 1)
    shown = (mdp.grid >= 0) & ~mdp.terminal[mdp.grid]
    cells = np.where(shown, V[mdp.grid], np.nan)
    image = ax.imshow(np.ma.masked_invalid(cells), cmap="viridis")
    ax.set_facecolor("0.25")
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    for (i, j), s in np.ndenumerate(mdp.grid):
        if s < 0:
            continue
        if mdp.terminal[s]:
            ax.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, color="white"))
            ax.plot(j, i, "x", color="0.25", ms=9, mew=2)
        elif policy is not None:
            di, dj = moves[policy[s]]
            ax.annotate(
                "",
                (j + 0.32 * dj, i + 0.32 * di),
                (j - 0.32 * dj, i - 0.32 * di),
                arrowprops={"arrowstyle": "-|>", "color": "white", "lw": 1.2, "shrinkA": 0, "shrinkB": 0},
            )
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
