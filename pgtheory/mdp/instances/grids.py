"""Gridworlds drawn as text: walls, goals, traps, cliffs, wind and slippery ground."""

from collections.abc import Mapping, Sequence

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.registry import instance

MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # up, right, down, left
DENSE_UP_TO = 200  # cells
ROOMS = (
    "S..#....",
    "...#....",
    "......X.",
    "...#....",
    "##.##.##",
    "...#....",
    "...#....",
    "......#G",
)


@instance
def gridworld(
    layout: Sequence[str] = ROOMS,
    slip: float = 0.1,
    wind: Sequence[int] | None = None,
    step_reward: float = 0.0,
    exits: Mapping[str, float] | None = None,
    discount: float = 0.95,
) -> FiniteMDP:
    """A gridworld with walls, exits and optional wind, drawn as text.

    Actions 0–3 move up, right, down, left; a move into a wall or off the grid stays put. The episode ends
    on reaching an exit, whose reward is earned on the way in.

    Parameters
    ----------
    layout : sequence of str
        Rows of equal length: ``#`` wall, ``S`` start (several: uniform), ``.`` floor, other letters exits.
    slip : float
        Probability that the move goes to one of the two sides instead (half each).
    wind : sequence of int, optional
        Cells by which each column pushes upward after every move made from it (Sutton & Barto, Ex. 6.5).
    step_reward : float
        Reward of every move, exits included.
    exits : mapping of letter to float
        Reward of each exit letter; ``{"G": 1.0, "X": -1.0}`` by default.
    discount : float
    """
    cells = np.array([list(row) for row in _rectangular(layout)])
    rewards = {"G": 1.0, "X": -1.0} if exits is None else _exit_rewards(exits)
    step_reward = validate.finite("step_reward", step_reward)
    unknown = {str(cell) for cell in cells.flat} - set("#.S") - rewards.keys()
    if unknown:
        raise ValueError(f"layout has cells {sorted(unknown)} that are neither '#', '.', 'S' nor in exits")
    slip = validate.probability("slip", slip)
    rows, columns = cells.shape
    push = np.zeros(columns, int)
    if wind is not None:
        push = validate.indices("wind", wind, (columns,), "[columns]", -rows, rows)

    grid = np.full(cells.shape, -1)
    grid[cells != "#"] = np.arange((cells != "#").sum())
    n = int(grid.max()) + 1
    turns, chances = (0, 1, -1), np.array([1 - slip, slip / 2, slip / 2])
    successors = np.empty((n, 4, 3), int)
    earned = np.zeros((n, 4, 3))
    terminal = np.isin(cells[grid >= 0], list(rewards))
    for (i, j), s in np.ndenumerate(grid):
        for a in range(4):
            for k, turn in enumerate(turns):
                if s < 0:
                    continue
                x, y = (i, j) if terminal[s] else _move(grid, i, j, *MOVES[(a + turn) % 4])
                x, y = (x, y) if terminal[s] else _drift(grid, x, y, int(push[j]))
                successors[s, a, k] = grid[x, y]
                earned[s, a, k] = 0.0 if terminal[s] else step_reward + rewards.get(cells[x, y], 0.0)
    starts = grid[cells == "S"]
    if len(starts) == 0:
        raise ValueError("layout must mark at least one start cell with 'S', got none")
    start = np.bincount(starts, minlength=n) / len(starts)
    mdp = FiniteMDP.from_successors(
        successors,
        np.broadcast_to(chances, successors.shape),
        earned @ chances,
        discount,
        start,
        terminal=terminal,
        name="gridworld",
        grid=grid,
    )
    return mdp if n > DENSE_UP_TO else mdp.to_dense()


@instance
def windy_gridworld(discount: float = 0.99) -> FiniteMDP:
    """The windy gridworld of Sutton & Barto, Ex. 6.5: 7 x 10, reward -1 a step, 15 steps at best."""
    layout = ["." * 10] * 7
    layout[3] = "S......G.."
    wind = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
    mdp = gridworld(layout, slip=0.0, wind=wind, step_reward=-1.0, exits={"G": 0.0}, discount=discount)
    return mdp.replace(name="windy-gridworld")


@instance
def cliff(length: int = 12, height: int = 4, discount: float = 0.99) -> FiniteMDP:
    """Cliff walking (Sutton & Barto, Ex. 6.6): -1 a step; falling costs 100 and returns to the start."""
    columns, rows = (
        validate.positive_integer("length", length, 3),
        validate.positive_integer("height", height, 2),
    )
    layout = ["." * columns] * (rows - 1) + ["S" + "#" * (columns - 2) + "G"]
    mdp = gridworld(layout, slip=0.0, step_reward=-1.0, exits={"G": 0.0}, discount=discount).to_dense()
    P, r, grid = mdp.P.copy(), mdp.r.copy(), mdp.grid
    assert grid is not None
    start = int(grid[rows - 1, 0])
    above = [(int(grid[rows - 2, j]), 2) for j in range(1, columns - 1)]
    for s, a in [*above, (start, 1)]:
        P[s, a] = np.eye(mdp.n_states)[start]
        r[s, a] = -100.0
    return mdp.replace(P=P, rewards=r, name="cliff")


def _rectangular(layout: Sequence[str]) -> list[str]:
    rows = [str(row) for row in validate.sequence("layout", layout, "rows such as ['S.', '.G']")]
    if not rows or not rows[0] or len({len(row) for row in rows}) != 1:
        raise ValueError(
            f"layout must be non-empty rows of equal length, got lengths {[len(r) for r in rows]}"
        )
    return rows


def _exit_rewards(exits: Mapping[str, float]) -> dict[str, float]:
    validate.instance_of("exits", exits, Mapping)
    wrong = [letter for letter in exits if not isinstance(letter, str) or len(letter) != 1 or letter in "#.S"]
    if wrong:
        raise ValueError(f"exits must be single letters other than '#', '.' and 'S', got {wrong}")
    return {letter: validate.finite(f"exits[{letter!r}]", reward) for letter, reward in exits.items()}


def _move(grid: np.ndarray, i: int, j: int, di: int, dj: int) -> tuple[int, int]:
    x, y = i + di, j + dj
    inside = 0 <= x < grid.shape[0] and 0 <= y < grid.shape[1]
    return (x, y) if inside and grid[x, y] >= 0 else (i, j)


def _drift(grid: np.ndarray, i: int, j: int, cells: int) -> tuple[int, int]:
    for _ in range(abs(cells)):
        i, j = _move(grid, i, j, -1 if cells > 0 else 1, 0)
    return i, j
