"""The normalised ascent lemma on random problems: holds with a true smoothness constant, fails with a small one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgtheory as pg
from pgtheory.problems.agreement import random_problem
from pgtheory.theory.ascent import normalised_ascent
from pgtheory.theory.constants import Constants, softmax_constants

seeds = st.integers(0, 2**32 - 1)
TWO = pg.ExactProblem(pg.make("two-state"))
THETA = np.array([0.3, -0.2, 0.5, 0.1])


def drawn(seed):
    rng = np.random.default_rng(seed)
    problem, theta = random_problem(rng, horizon=False)
    constants = softmax_constants(problem.policy)
    L_g = Constants(constants, problem.mdp.discount, 1, problem.mdp.r_max).L_g
    return rng, problem, theta, L_g


@given(seed=seeds, scale=st.floats(-4, 2), horizon=st.sampled_from([None, 1, 5, 50]))
@settings(max_examples=40, deadline=None)
def test_holds_for_any_direction_with_the_worst_case_constant(seed, scale, horizon):
    rng, problem, theta, L_g = drawn(seed)
    target = problem if horizon is None else pg.ExactProblem(problem.mdp, problem.policy, horizon=horizon)
    gradient, size = target.gradient(theta), np.linalg.norm(target.gradient(theta))
    d = np.stack(
        [gradient, gradient + size * rng.normal(size=problem.dim), rng.normal(size=problem.dim), 0 * theta]
    )
    terms = normalised_ascent(problem, np.tile(theta, (4, 1)), d, 10.0**scale, L_g, horizon=horizon)
    assert terms.slack.min() >= -1e-9 * problem.mdp.r_max / (1 - problem.mdp.discount)


@given(seed=seeds, scale=st.floats(-3, 0))
@settings(max_examples=25, deadline=None)
def test_holds_with_the_largest_curvature_on_the_way(seed, scale):
    """Often far below the worst case, and still enough: the lemma needs smoothness on the step only."""
    rng, problem, theta, L_g = drawn(seed)
    gamma = 10.0**scale
    d = problem.gradient(theta) + 0.1 * rng.normal(size=problem.dim)
    way = np.linspace(0, gamma, 101)[:, None] * d / np.linalg.norm(d)
    local = np.linalg.norm(problem.hessian(theta + way), 2, axis=(-2, -1)).max()
    assert local <= L_g
    terms = normalised_ascent(problem, theta, d, gamma, 1.01 * local)
    assert terms.slack >= -1e-9 * problem.mdp.r_max / (1 - problem.mdp.discount)


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_fails_without_smoothness(seed):
    """With L_g = 0 it promises an ascent of γ‖∇J‖/3 however long the step; six times the gap are never to be had."""
    _, problem, theta, L_g = drawn(seed)
    gradient = problem.gradient(theta)
    size = np.linalg.norm(gradient)
    gap = problem.optimum - problem.value(theta)
    if size * L_g == 0 or gap < 1e-6 * problem.mdp.r_max:
        return
    gamma = 6 * gap / size
    assert normalised_ascent(problem, theta, gradient, gamma, 0.0).slack < 0
    assert normalised_ascent(problem, theta, gradient, gamma, L_g).slack >= 0


def test_the_terms_by_hand():
    d = np.array([1.0, -2.0, 0.5, 0.0])
    terms = normalised_ascent(TWO, THETA, d, 0.3, L_g=7.0, horizon=3)
    g, short = TWO.gradient(THETA), pg.ExactProblem(TWO.mdp, horizon=3).gradient(THETA)
    assert terms.left == pytest.approx(-TWO.value(THETA + 0.3 * d / np.sqrt(5.25)))
    assert terms.start == pytest.approx(-2.410349, abs=5e-7)
    assert terms.gradient == pytest.approx(-0.1 * np.linalg.norm(g))
    assert terms.error == pytest.approx(0.8 * np.linalg.norm(d - short))
    assert terms.smoothness == pytest.approx(7 * 0.09 / 2)
    assert terms.truncation == pytest.approx(0.4 * np.linalg.norm(short - g))
    parts = terms.start + terms.gradient + terms.error + terms.smoothness + terms.truncation
    assert terms.slack == pytest.approx(parts - terms.left)


def test_without_a_direction_the_parameters_stay():
    terms = normalised_ascent(TWO, THETA, np.zeros(4), 0.3, L_g=0.0)
    assert terms.left == terms.start
    assert terms.slack > 0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="gamma must be non-negative"):
        normalised_ascent(TWO, THETA, THETA, -0.1, 1.0)
    with pytest.raises(ValueError, match="L_g must be non-negative"):
        normalised_ascent(TWO, THETA, THETA, 0.1, -1.0)
    with pytest.raises(ValueError, match="d must have shape"):
        normalised_ascent(TWO, THETA, np.ones(3), 0.1, 1.0)
