"""Identities that the exact quantities of every problem satisfy, whatever formula computed them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgtheory as pg
from pgtheory.mdp import evaluate
from pgtheory.policies import LogLinear, TabularSoftmax
from pgtheory.problems import agreement
from pgtheory.problems.agreement import random_mdp, random_problem
from pgtheory.problems.landscape import ascend

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


def decided(problem):
    return problem.mdp.actions & ~problem.mdp.terminal[:, None]


@horizons
@given(seed=seeds)
@examples(25)
def test_performance_difference_lemma(horizon, seed):
    errors = agreement.performance_difference_error(np.random.default_rng(seed), horizon)
    assert errors["error"] < 1e-12


@given(seed=seeds)
@examples(25)
def test_discounted_visits_add_up(seed):
    for horizon in (False, True):
        problem, theta, *_ = drawn(seed, horizon)
        ev, gamma = problem.evaluation(theta), problem.mdp.discount
        length = (1 - gamma**problem.horizon if horizon else 1.0) / (1 - gamma)
        assert ev.visits.sum() == pytest.approx(length, rel=1e-11)
        assert ev.distribution.sum() == pytest.approx(1.0, rel=1e-12)
        assert (ev.visits[..., None] * ev.pi * problem.mdp.r).sum() == pytest.approx(ev.J, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose((ev.pi * ev.A).sum(-1), 0.0, atol=1e-10 * (1 + np.abs(ev.Q).max()))


@horizons
@given(seed=seeds)
@examples(20)
def test_tabular_softmax_does_not_see_constants_per_state(horizon, seed):
    problem, theta, v, w = drawn(seed, horizon, tabular=True)
    shape = problem.mdp.r.shape
    gradient, hessian = problem.gradient(theta), problem.hessian(theta)
    size = np.linalg.norm(hessian) + np.linalg.norm(gradient)
    np.testing.assert_allclose(gradient.reshape(shape).sum(-1), 0.0, atol=1e-12 * size)
    constants = np.repeat(np.eye(shape[0]), shape[1], axis=1)
    np.testing.assert_allclose(hessian @ constants.T, 0.0, atol=1e-11 * size)
    # the product is symmetric by itself; ``hessian`` symmetrises
    assert w @ problem.hvp(theta, v) == pytest.approx(v @ problem.hvp(theta, w), abs=1e-10 * size)
    np.testing.assert_array_equal(gradient.reshape(shape)[~decided(problem)], 0.0)


@given(seed=seeds)
@examples(25)
def test_natural_gradient_is_the_centred_advantage(seed):
    assert agreement.natural_gradient_error(np.random.default_rng(seed))["error"] < 1e-5
    problem, theta, *_ = drawn(seed, False, tabular=True)
    A, permitted = problem.evaluation(theta).A, decided(problem)
    centred = A - (A * permitted).sum(-1, keepdims=True) / problem.mdp.actions.sum(-1, keepdims=True)
    expected = np.where(permitted, centred, 0.0).ravel() / (1 - problem.mdp.discount)
    np.testing.assert_allclose(
        problem.natural_gradient(theta), expected, atol=1e-10 * (1 + np.abs(expected).max())
    )


@horizons
@pytest.mark.parametrize("tabular", [True, False])
@given(seed=seeds)
@examples(15)
def test_compatible_weights_solve_the_normal_equations(horizon, tabular, seed):
    problem, theta, *_ = drawn(seed, horizon, tabular)
    F, gradient = problem.fisher(theta), problem.gradient(theta)
    length = problem.evaluation(theta).visits.sum()
    for damping in (0.0, 0.1):
        w = problem.natural_gradient(theta, damping=damping)
        np.testing.assert_allclose(F @ w + damping * w, gradient, atol=1e-8 * (length * problem.mdp.r_max))
        # of all solutions the shortest: nothing along directions that change no probability
        idle = np.linalg.eigh(F)
        idle = idle.eigenvectors[:, idle.eigenvalues < 1e-13]
        np.testing.assert_allclose(idle.T @ w, 0.0, atol=1e-6 * np.linalg.norm(w))


@pytest.mark.parametrize("reach", [0.5, 5.0])
def test_natural_gradient_of_redundant_features_and_nearly_deterministic_policies(reach):
    """Every tabular parameter twice: the shortest solution shares the tabular one equally."""
    mdp = pg.make("dirichlet")
    tabular = pg.ExactProblem(mdp)
    theta = reach * np.random.default_rng(3).normal(size=tabular.dim)
    features = np.tile(np.eye(tabular.dim).reshape(*mdp.r.shape, -1), 2)
    twice = pg.ExactProblem(mdp, LogLinear(features + 100.0))  # an offset changes no probability
    half = np.tile(theta, 2) / 2
    natural = tabular.natural_gradient(theta)
    np.testing.assert_allclose(
        twice.natural_gradient(half)[:15], natural / 2, atol=1e-5 * np.abs(natural).max()
    )
    np.testing.assert_allclose(twice.fisher(half)[:15, :15], tabular.fisher(theta), atol=1e-14)


def test_damping_tends_to_the_undamped_natural_gradient():
    problem = pg.ExactProblem(pg.make("two-state"))
    theta = np.array([0.3, -0.2, 0.5, 0.1])
    for damping in (1e-8, 1e-12, 1e-16, 1e-300):
        damped = problem.natural_gradient(theta, damping=damping)
        np.testing.assert_allclose(damped, problem.natural_gradient(theta), rtol=1e2 * damping + 1e-14)


@horizons
@given(seed=seeds)
@examples(15)
def test_fisher_matrix_is_the_mean_outer_product_of_scores(horizon, seed):
    problem, theta, v, _ = drawn(seed, horizon)
    ev, F = problem.evaluation(theta), problem.fisher(theta)
    direct = np.zeros_like(F)
    for s, a in np.argwhere(decided(problem)):
        score = problem.policy.score(theta, s, a)
        direct += ev.distribution[s] * ev.pi[s, a] * np.outer(score, score)
    np.testing.assert_allclose(F, direct, atol=1e-12)
    assert np.linalg.eigvalsh(F).min() > -1e-13
    np.testing.assert_allclose(problem.fisher_vector(theta, v), F @ v, atol=1e-11)


@horizons
@given(seed=seeds, scale=st.floats(-5, 5), shift=st.floats(-5, 5))
@examples(20)
def test_scaling_and_shifting_rewards(horizon, seed, scale, shift):
    problem, theta, v, _ = drawn(seed, horizon)
    mdp, length = problem.mdp, problem.evaluation(theta).visits.sum()
    tolerance = 1e-10 * length**2 * (abs(scale) + 1) * mdp.r_max
    scaled = pg.ExactProblem(mdp.replace(rewards=scale * mdp.r), problem.policy)
    for of in (problem.value, problem.gradient, lambda x: problem.hvp(x, v), problem.natural_gradient):
        other = getattr(scaled, of.__name__) if of.__name__ != "<lambda>" else lambda x: scaled.hvp(x, v)
        np.testing.assert_allclose(other(theta), scale * of(theta), atol=tolerance)
    if not mdp.terminal.any():
        shifted = pg.ExactProblem(mdp.replace(rewards=mdp.r + shift * mdp.actions), problem.policy)
        assert shifted.value(theta) == pytest.approx(
            problem.value(theta) + shift * length, abs=tolerance + 1e-9
        )
        np.testing.assert_allclose(shifted.gradient(theta), problem.gradient(theta), atol=1e-9 * length**2)


@horizons
@given(seed=seeds)
@examples(10)
def test_a_batch_is_a_loop(horizon, seed):
    problem, *_ = drawn(seed, horizon)
    theta, v = np.random.default_rng(seed).normal(size=(2, 2, 3, problem.dim))
    for of in (problem.value, problem.gradient, problem.hessian, problem.fisher, problem.natural_gradient):
        together, one_by_one = of(theta), [[of(x) for x in row] for row in theta]
        np.testing.assert_allclose(together, one_by_one, rtol=1e-9, atol=1e-9 * np.abs(together).max())
    for of in (problem.hvp, problem.fisher_vector):
        together, one_by_one = of(theta, v), [[of(x, y) for x, y in zip(*rows)] for rows in zip(theta, v)]
        np.testing.assert_allclose(together, one_by_one, rtol=1e-9, atol=1e-9 * np.abs(together).max())
        np.testing.assert_allclose(of(theta, v[0, 0])[1, 2], of(theta[1, 2], v[0, 0]), rtol=1e-9, atol=1e-9)


@given(seed=seeds)
@examples(15)
def test_log_linear_with_indicator_features_is_tabular(seed):
    problem, theta, v, _ = drawn(seed, seed % 2 == 0, tabular=True)
    S, A = problem.mdp.r.shape
    same = pg.ExactProblem(problem.mdp, LogLinear(np.eye(S * A).reshape(S, A, S * A), problem.mdp.actions))
    size = 1 + np.abs(problem.hessian(theta)).max()
    np.testing.assert_allclose(same.gradient(theta), problem.gradient(theta), atol=1e-12 * size)
    np.testing.assert_allclose(same.hvp(theta, v), problem.hvp(theta, v), atol=1e-11 * size)
    np.testing.assert_allclose(same.fisher(theta), problem.fisher(theta), atol=1e-13)
    for damping, rtol in ((0.0, 1e-5), (0.05, 1e-9)):
        natural = problem.natural_gradient(theta, damping=damping)
        numeric = same.natural_gradient(theta, damping=damping)
        np.testing.assert_allclose(numeric, natural, atol=rtol * (1 + np.abs(natural).max()))


@given(seed=seeds)
@examples(15)
def test_a_policy_class_may_use_fewer_actions_than_the_mdp_permits(seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, horizon=False)
    fewer = mdp.actions.copy()
    fewer[0, np.flatnonzero(fewer[0])[0]] = fewer[0].sum() == 1
    problem = pg.ExactProblem(mdp, TabularSoftmax(*fewer.shape, fewer))
    restricted = pg.ExactProblem(mdp.replace(actions=fewer))
    theta, v = rng.normal(size=(2, problem.dim))
    size = 1 + np.abs(restricted.hessian(theta)).max()
    np.testing.assert_allclose(problem.gradient(theta), restricted.gradient(theta), atol=1e-12 * size)
    np.testing.assert_allclose(problem.hvp(theta, v), restricted.hvp(theta, v), atol=1e-11 * size)
    np.testing.assert_allclose(
        problem.natural_gradient(theta), restricted.natural_gradient(theta), rtol=1e-8, atol=1e-8
    )
    assert problem.optimum >= restricted.optimum - 1e-8


@horizons
@given(seed=seeds)
@examples(10)
def test_nothing_beats_the_optimum_and_greedy_reaches_it(horizon, seed):
    problem, theta, *_ = drawn(seed, horizon, tabular=True)
    assert problem.value(theta) <= problem.optimum + 1e-8
    if not horizon:
        best = pg.solve(problem.mdp, tol=1e-11)
        earned = evaluate(problem.mdp, best.pi).J
        assert earned == pytest.approx(problem.optimum, abs=1e-8)
        assert problem.value(60.0 * best.pi.ravel()) == pytest.approx(problem.optimum, abs=1e-6)


def test_exact_ascent_follows_the_fields():
    problem = pg.ExactProblem(pg.make("two-state"))
    theta = np.array([0.3, -0.2, 0.5, 0.1])
    path = ascend(problem, theta, lambda t: 0.1 / (t + 1), 2)
    first = theta + 0.1 * problem.gradient(theta)
    np.testing.assert_allclose(path, [theta, first, first + 0.05 * problem.gradient(first)], rtol=1e-14)
    natural = ascend(problem, theta, 0.1, 2, field="natural", keep=[2])
    first = theta + 0.1 * problem.natural_gradient(theta)
    np.testing.assert_allclose(natural, [first + 0.1 * problem.natural_gradient(first)], rtol=1e-14)
