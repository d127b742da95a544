"""Value polytopes and slices of J with the paths of gradient methods."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.policies import TabularSoftmax
from pgtheory.problems.exact import ExactProblem
from pgtheory.problems.landscape import plane, value_polytope


def logit_differences(problem: ExactProblem) -> np.ndarray:
    r"""Axes [2, dim] of the two-state, two-action slice: x is :math:`\theta_{01}-\theta_{00}`, y the same in state 1.

    The softmax ignores the other two directions, so this slice shows the whole objective.
    """
    validate.instance_of("problem", problem, ExactProblem)
    tabular = isinstance(problem.policy, TabularSoftmax)
    if not tabular or problem.policy.actions.shape != (2, 2):
        raise ValueError(f"problem must be tabular with two states and two actions, got {problem!r}")
    return np.array([[-0.5, 0.5, 0.0, 0.0], [0.0, 0.0, -0.5, 0.5]])


def landscape(
    ax: Any, problem: ExactProblem, *, reach: float = 8.0, points: int = 121, axes: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Filled contours of J on a slice through zero; returns the numbers drawn (x, y and J [y, x])."""
    axes = logit_differences(problem) if axes is None else axes
    reach = validate.positive("reach", reach)
    x = np.linspace(-reach, reach, validate.positive_integer("points", points, 2))
    J = plane(problem, x, x, axes)
    drawn = ax.contourf(x, x, J, levels=24, cmap="viridis")
    ax.contour(x, x, J, levels=24, colors="white", linewidths=0.3, alpha=0.5)
    ax.figure.colorbar(drawn, ax=ax, label=r"$J(\theta)$")
    ax.set(xlabel=r"$\theta_{01}-\theta_{00}$", ylabel=r"$\theta_{11}-\theta_{10}$", aspect="equal")
    ax.grid(False)
    return {"x": x, "y": x, "J": J}


def paths(ax: Any, problem: ExactProblem, named: Mapping[str, np.ndarray], reach: float = 8.0) -> None:
    """Draw parameter paths [T, runs, dim] on the two-state slice, one colour a name, dots at the starts."""
    axes = logit_differences(problem)
    validate.instance_of("named", named, Mapping)
    for i, (name, path) in enumerate(named.items()):
        path = validate.real_array(f"named[{name!r}]", path, (None, None, 4), "[T, runs, dim]")
        # Differences of logits: each axis vector has squared length 1/2.
        xy = path @ axes.T * 2
        for run in range(xy.shape[1]):
            label = name if run == 0 else None
            ax.plot(xy[:, run, 0], xy[:, run, 1], color=f"C{i + 1}", lw=1.6, label=label)
            ax.plot(*xy[0, run], "o", color="white", mec="black", ms=4, zorder=3)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.legend(loc="lower left", frameon=True, framealpha=0.9)


def polytope(ax: Any, mdp: FiniteMDP, *, n: int = 3000, seed: int = 0) -> dict[str, np.ndarray]:
    """Values of random policies of a two-state MDP, and of its deterministic policies; returns both."""
    validate.instance_of("mdp", mdp, FiniteMDP)
    if mdp.n_states != 2:
        raise ValueError(f"mdp must have two states to draw its value polytope, got {mdp.n_states}")
    inside, corners = value_polytope(
        mdp, n, np.random.default_rng(validate.positive_integer("seed", seed, 0))
    )
    ax.plot(*inside.T, ".", ms=2, alpha=0.4, color="C0", label="random policies", rasterized=True)
    ax.plot(*corners.T, "o", color="C1", mec="black", label="deterministic policies")
    ax.set(xlabel="$V(0)$", ylabel="$V(1)$")
    ax.legend(loc="upper left")
    return {"inside": inside, "corners": corners}
