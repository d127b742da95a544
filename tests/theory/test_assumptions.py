"""Fisher floor, transferred error and gradient domination on finite MDPs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgtheory as pg
from pgtheory.mdp import evaluate
from pgtheory.policies import LogLinear, TabularSoftmax
from pgtheory.problems.agreement import random_problem
from pgtheory.theory.assumptions import (
    domination_along,
    domination_constants,
    domination_slack,
    fisher_floor,
    score_directions,
    transferred_error,
)
from pgtheory.theory.constants import softmax_constants

seeds = st.integers(0, 2**32 - 1)
TWO = pg.ExactProblem(pg.make("two-state"))
THETA = np.array([0.3, -0.2, 0.5, 0.1])


def test_tabular_softmax_is_degenerate_and_its_restricted_floor_is_the_smallest_nonzero_eigenvalue():
    assert fisher_floor(TWO, THETA) == pytest.approx(0, abs=1e-15)
    assert fisher_floor(TWO, THETA, restricted=True) == pytest.approx(0.228788, abs=5e-7)
    assert score_directions(TWO.policy).shape == (4, 2)


def test_restriction_leaves_out_terminal_states_and_forbidden_actions():
    bandit = pg.ExactProblem(pg.make("bandit"))
    assert fisher_floor(bandit, np.zeros(6), restricted=True) == pytest.approx(1 / 3)
    few = TabularSoftmax(2, 3, [[True, True, False], [True, True, True]])
    assert score_directions(few).shape == (6, 3)
    with pytest.raises(ValueError, match="nothing to decide"):
        score_directions(TabularSoftmax(2, 1))


def test_floor_of_a_log_linear_class_with_independent_features():
    policy = LogLinear(np.random.default_rng(0).normal(size=(2, 2, 2)))
    problem = pg.ExactProblem(TWO.mdp, policy)
    theta = np.array([[0.1, 0.2], [1.0, -1.0]])
    plain, restricted = (fisher_floor(problem, theta, restricted=r) for r in (False, True))
    assert (plain > 1e-4).all()
    np.testing.assert_allclose(plain, restricted, rtol=1e-10)


@given(seed=seeds)
@settings(max_examples=15, deadline=None)
def test_transferred_error_by_least_squares(seed):
    """Fit the advantage with the scores under d, π; square what is left under d*, π*."""
    problem, theta = random_problem(np.random.default_rng(seed), horizon=False)
    mdp, policy = problem.mdp, problem.policy
    ev = problem.evaluation(theta)
    pairs = [tuple(pair) for pair in np.argwhere(mdp.actions & ~mdp.terminal[:, None])]
    scores = np.stack([policy.score(theta, s, a) for s, a in pairs])
    weights = np.array([ev.distribution[s] * ev.pi[s, a] for s, a in pairs])
    A = np.array([ev.A[pair] for pair in pairs])
    root = np.sqrt(weights)
    w = np.linalg.lstsq(root[:, None] * scores, root * A, rcond=1e-13)[0]
    best = pg.solve(mdp).pi
    d = evaluate(mdp, best).distribution
    expected = sum(d[s] * best[s, a] * (A[i] - scores[i] @ w) ** 2 for i, (s, a) in enumerate(pairs))
    scale = np.abs(A).max() ** 2
    assert transferred_error(problem, theta) == pytest.approx(expected, rel=1e-5, abs=1e-7 * scale)
    if isinstance(policy, TabularSoftmax):
        assert transferred_error(problem, theta) < 1e-12 * scale


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_domination_is_a_theorem_at_each_point(seed):
    rng = np.random.default_rng(seed)
    problem, _ = random_problem(rng, horizon=False)
    path = rng.choice([0.3, 3.0]) * rng.normal(size=(5, problem.dim))
    slack = domination_along(problem, path, softmax_constants(problem.policy).M_g)
    assert slack.min() >= -1e-9 * problem.mdp.r_max


def test_domination_fails_with_the_floor_of_the_start_when_the_policy_hardens_on_a_wrong_arm():
    bandit = pg.ExactProblem(pg.make("bandit"))
    path = np.linspace(0, 12, 25)[:, None] * np.eye(6)[2]
    M_g = softmax_constants(bandit.policy).M_g
    floor = fisher_floor(bandit, path, restricted=True)
    assert (np.diff(floor) < 0).all()
    assert domination_along(bandit, path, M_g).min() >= 0
    fixed = domination_along(bandit, path, M_g, mu_F=floor[0], eps_bias=0.0)
    assert fixed[0] > 0 > fixed[-1]


def test_domination_needs_the_transferred_error_of_a_class_that_lacks_the_best_policy():
    """One feature that is the same in both states: no parameter does well in both."""
    problem = pg.ExactProblem(TWO.mdp, LogLinear([[[1.0], [0.0]], [[1.0], [0.0]]]))
    path = np.linspace(-3, 3, 61)[:, None]
    M_g = softmax_constants(problem.policy).M_g
    assert domination_along(problem, path, M_g).min() >= 0
    assert domination_along(problem, path, M_g, eps_bias=0.0).min() < -0.01


def test_constants_by_hand():
    rate, relaxation = domination_constants(2.0, 1 / 9, 2.0, 0.0)
    assert (rate, relaxation) == (1.0, pytest.approx(1 / 3))
    rate, relaxation = domination_constants(np.array([0.5, 1.0]), 0.04, 2.0, 0.9)
    np.testing.assert_allclose([rate, relaxation], [[0.25, 0.5], [0.5, 1.0]])
    assert domination_slack(2.0, 0.3, 0.5, 0.04, 2.0, 0.9) == pytest.approx(0.5 + 0.3 - 0.5)
    assert domination_slack(2.0, 0.3, 0.5, 0.04, np.inf, 0.9) == 0.3


def test_bad_input_is_refused():
    short = pg.ExactProblem(TWO.mdp, horizon=3)
    for refused in (transferred_error, lambda p, x: domination_along(p, x, 1.0)):
        with pytest.raises(ValueError, match="infinite horizon, got horizon=3"):
            refused(short, THETA)
    with pytest.raises(ValueError, match="mu_F must be non-negative"):
        domination_constants(-1.0, 0.0, 1.0, 0.9)
    with pytest.raises(ValueError, match="M_g must be positive"):
        domination_constants(1.0, 0.0, 0.0, 0.9)
    with pytest.raises(TypeError, match="problem must be a ExactProblem"):
        fisher_floor(TWO.mdp, THETA)
