"""Looking at an objective: value polytopes, slices of J, and the paths of exact gradient flows."""

from collections.abc import Callable
from itertools import product

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.evaluation import evaluate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.problems.exact import ExactProblem

FIELDS = ("gradient", "natural")


def value_polytope(mdp: FiniteMDP, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    r"""Values of random and of all deterministic policies: the polytope of Dadashi et al. (2019).

    Parameters
    ----------
    mdp : FiniteMDP
        Small: it has :math:`A^S` deterministic policies, at most 4096 here.
    n : int
        Number of random policies, each row from a Dirichlet(1/2) that also visits the boundary.
    rng : numpy.random.Generator

    Returns
    -------
    inside : array [n, S]
        Values of the random policies.
    corners : array [A^S, S]
        Values of the deterministic policies.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    validate.instance_of("rng", rng, np.random.Generator)
    S, A = mdp.n_states, mdp.n_actions
    if not mdp.actions.all():
        raise ValueError(f"mdp must permit every action in every state, {mdp!r} forbids some")
    if A**S > 4096:
        raise ValueError(f"mdp must have at most 4096 deterministic policies, got {A}^{S}")
    corners = np.eye(A)[np.array(list(product(range(A), repeat=S)))]
    random = rng.dirichlet(np.full(A, 0.5), size=(validate.positive_integer("n", n), S))
    return evaluate(mdp, random).V, evaluate(mdp, corners).V


def plane(
    problem: ExactProblem, x: np.ndarray, y: np.ndarray, axes: np.ndarray, origin: np.ndarray | None = None
) -> np.ndarray:
    """J on a two-dimensional slice of parameter space [len(y), len(x)].

    ``axes`` [2, dim] are the directions of x and y; the slice passes through ``origin`` (zero by default).
    """
    validate.instance_of("problem", problem, ExactProblem)
    axes = validate.real_array("axes", axes, (2, problem.dim), "[2, dim]")
    centre = np.zeros(problem.dim)
    if origin is not None:
        centre = validate.real_array("origin", origin, (problem.dim,), "[dim]")
    points = (validate.real_array(name, value, (None,), f"[{name}]") for name, value in (("x", x), ("y", y)))
    X, Y = np.meshgrid(*points)
    return problem.value(centre + X[..., None] * axes[0] + Y[..., None] * axes[1])


def ascend(
    problem: ExactProblem,
    theta: np.ndarray,
    step_size: float | Callable[[int], float],
    steps: int,
    *,
    field: str = "gradient",
    keep: np.ndarray | None = None,
) -> np.ndarray:
    r"""Exact ascent :math:`\theta_{t+1}=\theta_t+\eta_t\,g(\theta_t)` with g the gradient or natural gradient.

    Parameters
    ----------
    theta : array [..., dim]
        Start; leading axes are independent runs.
    step_size : float or function of t
        :math:`\eta_t`.
    steps : int
    field : {"gradient", "natural"}
    keep : int array, optional
        Times whose iterates to return (0 is the start); all by default.

    Returns
    -------
    array [len(keep), ..., dim]
    """
    validate.instance_of("problem", problem, ExactProblem)
    if field not in FIELDS:
        raise ValueError(f"field must be one of {FIELDS}, got {field!r}")
    steps = validate.positive_integer("steps", steps)
    times = (
        np.arange(steps + 1) if keep is None else validate.indices("keep", keep, (None,), "[times]", 0, steps)
    )
    if len(times) == 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"keep must hold at least one time, in increasing order, got {times.tolist()}")
    wanted = set(times.tolist())
    slope = problem.gradient if field == "gradient" else problem.natural_gradient
    constant = 0.0 if callable(step_size) else validate.finite("step_size", step_size)
    eta = step_size if callable(step_size) else lambda t: constant
    theta, path = problem.policy.check(theta), []
    for t in range(steps + 1):
        if t in wanted:
            path.append(theta)
        if t < steps:
            theta = theta + eta(t) * slope(theta)
    return np.stack(path)
