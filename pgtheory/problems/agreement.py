"""How well independent routes agree on random problems: the tasks behind the ``exact/`` claims."""

from typing import Any

import numpy as np

from pgtheory.mdp.finite import FiniteMDP
from pgtheory.policies import LinearSoftmax, LogLinear, TabularSoftmax
from pgtheory.problems import routes
from pgtheory.problems.exact import ExactProblem


def random_mdp(rng: np.random.Generator, horizon: bool, sizes: tuple[int, int] = (6, 4)) -> FiniteMDP:
    """A random dense MDP of at most ``sizes`` = (S, A), sometimes with a terminal state or forbidden actions."""
    S, A = int(rng.integers(2, sizes[0] + 1)), int(rng.integers(2, sizes[1] + 1))
    P = rng.dirichlet(np.full(S, 0.5), size=(S, A))
    r = rng.normal(size=(S, A))
    terminal, actions = np.zeros(S, bool), np.ones((S, A), bool)
    if S > 2 and rng.random() < 0.3:
        terminal[-1] = True
        P[-1], r[-1] = np.eye(S)[-1], 0.0
    if A > 2 and rng.random() < 0.3:
        actions[rng.integers(S), rng.integers(A)] = False
    return FiniteMDP(
        P,
        r,
        discount=rng.uniform(0.5, 0.99),
        start=rng.dirichlet(np.ones(S)),
        terminal=terminal,
        actions=actions,
        horizon=int(rng.integers(2, 9)) if horizon else None,
    )


def random_problem(
    rng: np.random.Generator, horizon: bool, sizes: tuple[int, int] = (6, 4)
) -> tuple[ExactProblem, np.ndarray]:
    """A random MDP with a tabular or log-linear policy, and parameters [dim]."""
    mdp = random_mdp(rng, horizon, sizes)
    shape = mdp.n_states, mdp.n_actions
    policy: LinearSoftmax = (
        TabularSoftmax.on(mdp) if rng.random() < 0.5 else LogLinear(rng.normal(size=(*shape, 3)), mdp.actions)
    )
    return ExactProblem(mdp, policy), rng.normal(size=policy.dim)


def gradient_errors(rng: np.random.Generator, horizon: bool) -> dict[str, float]:
    """Relative errors of the closed-form gradient against three routes on one random problem.

    Enumeration runs on a second problem, small enough for it (at most 3 states, 2 actions, 4 decisions).
    """
    problem, theta = random_problem(rng, horizon)
    closed = problem.gradient(theta)
    v = rng.normal(size=problem.dim)
    _, by_autodiff, _ = routes.autodiff(problem, theta)
    slope = routes.finite_difference(problem.value, theta, v)
    tiny, theta = random_problem(rng, True, (3, 2))
    tiny = ExactProblem(tiny.mdp.replace(horizon=int(rng.integers(1, 5))), tiny.policy)
    _, by_enumeration = routes.enumeration(tiny, theta)
    return {
        "autodiff": relative(closed, by_autodiff),
        "finite_differences": relative(closed @ v, slope, np.linalg.norm(closed) * np.linalg.norm(v)),
        "enumeration": relative(tiny.gradient(theta), by_enumeration),
    }


def hvp_errors(rng: np.random.Generator, horizon: bool) -> dict[str, float]:
    """Relative errors of the closed-form Hessian–vector product on one random problem."""
    problem, theta = random_problem(rng, horizon)
    v = rng.normal(size=problem.dim)
    closed = problem.hvp(theta, v)
    _, _, H = routes.autodiff(problem, theta)
    scale = np.linalg.norm(H) * np.linalg.norm(v)
    return {
        "autodiff": relative(closed, H @ v, scale),
        "finite_differences": relative(closed, routes.finite_difference(problem.gradient, theta, v), scale),
        "own_hessian": relative(closed, problem.hessian(theta) @ v, scale),
    }


def performance_difference_error(rng: np.random.Generator, horizon: bool) -> dict[str, float]:
    r"""Error of the performance difference lemma (Kakade & Langford 2002) on one random problem.

    :math:`J(\pi')-J(\pi)=\sum_h\sum_sm'_h(s)\sum_a\pi'(a|s)A^\pi_h(s,a)`, relative to
    :math:`r_{max}` times the discounted length.
    """
    problem = ExactProblem(random_mdp(rng, horizon))
    theta, other = 2 * rng.normal(size=(2, problem.dim))
    old, new = problem.evaluation(theta), problem.evaluation(other)
    gained = (new.m_slices[..., None] * new.pi * old.A_slices).sum()
    return {"error": float(abs(new.J - old.J - gained) / (problem.mdp.r_max * new.visits.sum()))}


def natural_gradient_error(rng: np.random.Generator) -> dict[str, float]:
    r"""Relative distance between :math:`F_\rho^\dagger\nabla J` and the centred advantage over :math:`1-\gamma`.

    One random infinite-horizon problem with tabular softmax; the pseudo-inverse is taken numerically.
    """
    problem = ExactProblem(random_mdp(rng, horizon=False))
    mdp, theta = problem.mdp, rng.normal(size=problem.dim)
    by_pinv = np.linalg.pinv(problem.fisher(theta), rcond=1e-13, hermitian=True) @ problem.gradient(theta)
    A = problem.evaluation(theta).A
    decided = mdp.actions & ~mdp.terminal[:, None]
    centred = np.where(
        decided, A - A.sum(-1, keepdims=True, where=decided) / mdp.actions.sum(-1, keepdims=True), 0.0
    )
    return {"error": relative(by_pinv, centred.ravel() / (1 - mdp.discount))}


def relative(a: np.ndarray, b: np.ndarray, scale: Any = None) -> float:
    """Largest difference over the scale of b (its norm by default)."""
    size = float(np.linalg.norm(b)) if scale is None else float(scale)
    return float(np.abs(np.asarray(a) - b).max() / max(size, 1e-300))
