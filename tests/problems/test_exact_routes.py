"""Closed forms of ``ExactProblem`` against routes that share none of their formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgtheory as pg
from pgtheory import symbolic
from pgtheory.mdp.sensitivity import differentiate
from pgtheory.problems import agreement, routes
from pgtheory.problems.agreement import random_problem, relative

seeds = st.integers(0, 2**32 - 1)
horizons = pytest.mark.parametrize("horizon", [False, True], ids=["infinite", "truncated"])


def examples(n):
    return settings(max_examples=n, deadline=None)


def drawn(seed, horizon, tabular=False):
    """A random problem, parameters, and two directions."""
    rng = np.random.default_rng(seed)
    problem, theta = random_problem(rng, horizon)
    if tabular:
        problem = pg.ExactProblem(problem.mdp)
        theta = rng.normal(size=problem.dim)
    return problem, theta, *rng.normal(size=(2, problem.dim))


@horizons
@given(seed=seeds)
@examples(15)
def test_value_gradient_and_hessian_by_automatic_differentiation(horizon, seed):
    problem, theta, v, _ = drawn(seed, horizon)
    J, gradient, hessian = routes.autodiff(problem, theta)
    assert problem.value(theta) == pytest.approx(J, rel=1e-11, abs=1e-11 * problem.mdp.r_max)
    size = np.linalg.norm(hessian)
    assert relative(problem.gradient(theta), gradient) < 1e-9
    assert relative(problem.hessian(theta), hessian, size) < 1e-9
    assert relative(problem.hvp(theta, v), hessian @ v, size * np.linalg.norm(v)) < 1e-9


@horizons
@given(seed=seeds)
@examples(25)
def test_gradient_and_hessian_by_finite_differences(horizon, seed):
    errors = agreement.gradient_errors(np.random.default_rng(seed), horizon)
    assert errors["finite_differences"] < 1e-6
    assert errors["enumeration"] < 1e-10
    assert max(agreement.hvp_errors(np.random.default_rng(seed), horizon).values()) < 1e-6


@pytest.mark.parametrize("horizon", [1, 2, 3, 4])
def test_enumeration_of_all_trajectories(horizon):
    problem = pg.ExactProblem(pg.make("two-state"), horizon=horizon)
    theta = np.array([0.3, -0.2, 0.5, 0.1])
    J, gradient = routes.enumeration(problem, theta)
    assert problem.value(theta) == pytest.approx(J, abs=1e-13)
    np.testing.assert_allclose(problem.gradient(theta), gradient, atol=1e-13)


@pytest.mark.parametrize("horizon", [2, None])
def test_symbolic_differentiation(horizon):
    """Exact rationals and SymPy's derivatives, evaluated to 30 digits."""
    mdp = pg.make("two-state")
    problem = pg.ExactProblem(mdp, horizon=horizon)
    at = np.array([0.3, -0.2, 0.5, 0.1])
    J, theta = symbolic.softmax_return(mdp, horizon)
    assert problem.value(at) == pytest.approx(symbolic.evaluate(J, theta, at), rel=1e-14)
    gradient = symbolic.evaluate(symbolic.gradient(J, theta), theta, at)
    np.testing.assert_allclose(problem.gradient(at), gradient, atol=1e-14)
    if horizon:
        hessian = symbolic.evaluate(symbolic.hessian(J, theta), theta, at)
        np.testing.assert_allclose(problem.hessian(at), hessian, atol=1e-14)


@horizons
@given(seed=seeds)
@examples(15)
def test_derivatives_of_values_and_visits_along_a_direction(horizon, seed):
    """Each of dV, dQ and dm by itself: errors in two of them could cancel in a Hessian."""
    problem, theta, v, _ = drawn(seed, horizon)
    ev = problem.evaluation(theta[None])
    tangent = differentiate(ev, (ev.pi * problem.policy.directional(ev.pi, v))[:, None])
    for name in ("V", "Q", "m"):
        along = routes.finite_difference(
            lambda x, name=name: getattr(problem.evaluation(x), f"{name}_slices"), theta, v
        )
        scale = np.abs(along).max() + np.abs(getattr(ev, f"{name}_slices")).max()
        assert relative(getattr(tangent, name)[0, 0], along, scale) < 1e-6, name


@pytest.mark.parametrize("form", ["compiled", "LAPACK", "SuperLU", "Krylov"])
def test_every_linear_solver_gives_the_same_derivatives(form, monkeypatch):
    mdp = pg.make("garnet", n_states=40, n_actions=3, seed=2, discount=0.9)
    reference = pg.ExactProblem(mdp)
    theta, v = np.random.default_rng(0).normal(size=(2, reference.dim))
    _, gradient, hessian = routes.autodiff(reference, theta)
    monkeypatch.setattr("pgtheory.mdp.resolvent.COMPILED_UP_TO", 96 if form == "compiled" else 0)
    if form == "Krylov":
        monkeypatch.setattr("pgtheory.mdp.resolvent.FACTORISE_UP_TO", -1)
    problem = pg.ExactProblem(mdp if form in ("compiled", "LAPACK") else mdp.to_sparse())
    assert relative(problem.gradient(theta), gradient) < 1e-8
    assert relative(problem.hvp(theta, v), hessian @ v) < 1e-8
    ev = problem.evaluation(theta)
    assert ev.value_error < 1e-8
    assert ev.visits_error < 1e-8


@given(seed=seeds)
@examples(20)
def test_score_and_curvature_are_the_derivatives_of_the_log_probability(seed):
    problem, theta, v, _ = drawn(seed, False)
    policy, pi = problem.policy, problem.policy.probabilities(theta)
    s, a = np.argwhere(policy.actions)[seed % policy.actions.sum()]
    one = np.zeros(policy.actions.shape)
    one[s, a] = 1.0
    slope = routes.finite_difference(lambda x: policy.log_probabilities(x)[s, a], theta, v)
    assert policy.score(theta, s, a) @ v == pytest.approx(slope, abs=1e-8)
    assert policy.directional(pi, v)[s, a] == pytest.approx(slope, abs=1e-8)
    change = routes.finite_difference(lambda x: policy.score(x, s, a), theta, v)
    np.testing.assert_allclose(policy.curvature_sum(pi, one, v), change, atol=1e-7)
    np.testing.assert_allclose(np.exp(policy.log_probabilities(theta)), pi, atol=1e-15)
