"""Constants of policy classes are suprema, and those of problems bound what is measured."""

import math

import numpy as np
import pytest
import sympy

import pgtheory as pg
from pgtheory.policies import LogLinear, TabularSoftmax
from pgtheory.problems import SampledProblem, Streams
from pgtheory.theory.constants import (
    Constants,
    PolicyConstants,
    cauchy_constants,
    gaussian_constants,
    softmax_constants,
)

MDP = pg.make(
    "dirichlet"
)  # the tabular instance of arXiv:2302.01734's study: 5 states, 3 actions, discount 0.9
WORST = Constants(softmax_constants(TabularSoftmax(5, 3)), MDP.discount, horizon=10)
LONG, SHORT = pg.ExactProblem(MDP), pg.ExactProblem(MDP, horizon=10)
BASE, OTHER = np.random.default_rng(0).normal(size=(2, 40, 15))


def test_tabular_softmax():
    found = softmax_constants(TabularSoftmax(3, 4))
    expected = [math.sqrt(2), 1 / 2, math.sqrt(2) / (3 * math.sqrt(3))]
    np.testing.assert_allclose([found.M_g, found.M_h, found.l_2], expected, rtol=1e-14)
    assert found.l_2 == pytest.approx(0.272166, abs=5e-7)


def test_softmax_constants_are_attained_and_not_exceeded():
    """Over two arms: score, variance and third moment along the difference of their features."""
    features = np.array([[[0.5, 1.0], [-1.0, 3.0]]])
    found = softmax_constants(LogLinear(features))
    way = (features[0, 0] - features[0, 1]) / np.linalg.norm(features[0, 0] - features[0, 1])
    p = np.linspace(0, 1, 100_001)
    value = features[0] @ way
    mean = p * value[0] + (1 - p) * value[1]
    moments = [
        np.abs(value[0] - mean).max(),
        (p * (value[0] - mean) ** 2 + (1 - p) * (value[1] - mean) ** 2).max(),
        (p * (value[0] - mean) ** 3 + (1 - p) * (value[1] - mean) ** 3).max(),
    ]
    np.testing.assert_allclose(moments, [found.M_g, found.M_h, found.l_2], rtol=1e-8)
    rng = np.random.default_rng(0)
    pi, x = rng.dirichlet(np.full(4, 0.3), size=2000), rng.normal(size=(2000, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    centred = x - (pi * x).sum(1, keepdims=True)
    tabular = softmax_constants(TabularSoftmax(1, 4))
    assert np.abs(centred).max() <= tabular.M_g
    assert (pi * centred**2).sum(1).max() <= tabular.M_h
    assert np.abs((pi * centred**3).sum(1)).max() <= tabular.l_2


def test_cauchy():
    z, sigma = sympy.symbols("z sigma", positive=True)
    log_density = -sympy.log(1 + z**2)  # theta moves z by -1/sigma
    score, curvature, third = (sympy.diff(log_density, z, k) for k in (1, 2, 3))
    grid = np.linspace(-10, 10, 2_000_001)
    peaks = [np.abs(sympy.lambdify(z, f)(grid)).max() for f in (score, curvature, third)]
    found = cauchy_constants(0.5)
    np.testing.assert_allclose(peaks, [found.M_g * 0.5, found.M_h * 0.5**2, found.l_2 * 0.5**3], rtol=1e-9)
    at = sympy.sqrt(2) - 1
    assert sympy.simplify(abs(third.subs(z, at)) - sympy.Rational(3, 2) - sympy.sqrt(2)) == 0


def test_gaussian_policies_fail_the_assumption():
    found = gaussian_constants(sigma=0.5, state_norm=2.0)
    assert (found.M_g, found.M_h, found.l_2) == (math.inf, 16.0, 0.0)
    problem = Constants(found, 0.9, horizon=10)
    assert math.inf == problem.L_g == problem.sigma_g == problem.sigma_h == problem.D_g


def test_worst_case_numbers():
    assert WORST.L_g == pytest.approx(250, rel=1e-12)
    assert WORST.sigma_g**2 == pytest.approx(2000, rel=1e-12)


def test_worst_cases_by_hand():
    constants = Constants(PolicyConstants(M_g=3.0, M_h=2.0, l_2=1.0), 0.75, horizon=5, r_max=0.5)
    assert constants.L_g == pytest.approx(0.5 * (9 + 2) * 16)
    assert constants.sigma_g**2 == pytest.approx(0.25 * 9 * 64)
    assert constants.sigma_h**2 == pytest.approx(0.25 * (25 * 81 + 4) * 256)
    assert constants.D_g == pytest.approx(3 * 0.5 * 4 * math.sqrt(4 + 5))
    assert constants.D_h == pytest.approx(0.5 * (9 + 2) * 4 * (4 + 5))
    assert constants.L_h == pytest.approx(0.5 * (1.75 * 27 * 64 + 3 * math.sqrt(1.75) * 3 * 2 * 32 + 16))
    assert constants.truncation == 0.75**5


def test_measured_variance_of_the_gradient_estimate():
    """35.5 at the uniform policy against a worst case of 2000."""
    problem = SampledProblem(MDP, horizon=10)
    zero = np.zeros((20_000, problem.dim))
    rng = Streams(len(zero))
    g = problem.gradient(zero, problem.rollouts(zero, rng))
    spread = ((g - SHORT.gradient(zero[0])) ** 2).sum(-1)
    assert spread.mean() == pytest.approx(35.5, abs=0.5)
    assert spread.mean() < WORST.sigma_g**2


def test_smoothness_and_lipschitz_constants_hold():
    H = LONG.hessian(np.stack([BASE, OTHER]))
    assert np.linalg.norm(H, 2, axis=(-2, -1)).max() < WORST.L_g
    change = np.linalg.norm(H[0] - H[1], 2, axis=(-2, -1)) / np.linalg.norm(BASE - OTHER, axis=-1)
    assert 0 < change.max() < WORST.L_h
    almost = Constants(WORST.policy, WORST.discount, WORST.horizon, r_max=MDP.r_max)
    assert Constants.of(SHORT) == almost == Constants.of(SampledProblem(MDP, horizon=10))


def test_L_h_holds_where_it_is_tight():
    """One decision over two arms: the third derivative of J is the third central moment of a Bernoulli."""
    bandit = pg.ExactProblem(pg.make("bandit", rewards=(1.0, -1.0)))
    constants = Constants(softmax_constants(TabularSoftmax(1, 2)), 0.0, horizon=1)
    way = np.array([1.0, -1.0, 0, 0]) / np.sqrt(2)
    s = np.linspace(-6, 6, 4001)
    curvature = bandit.hvp(s[:, None] * way, way) @ way
    steepest = np.abs(np.diff(curvature) / np.diff(s)).max()
    assert 0.02 * constants.L_h < steepest < constants.L_h


def test_truncation_constants_hold():
    gradient, hessian = (
        np.linalg.norm(getattr(LONG, name)(BASE) - getattr(SHORT, name)(BASE), axis=axes)
        for name, axes in (("gradient", -1), ("hessian", (-2, -1)))
    )
    assert 0 < gradient.max() < WORST.D_g * WORST.truncation
    assert 0 < hessian.max() < WORST.D_h * WORST.truncation


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="M_h must be non-negative"):
        PolicyConstants(1.0, -1.0, 0.0)
    with pytest.raises(ValueError, match="problem must have a horizon"):
        Constants.of(LONG)
    with pytest.raises(ValueError, match="discount must be in"):
        Constants(WORST.policy, 1.0, 10)
    with pytest.raises(TypeError, match="policy must be a LinearSoftmax"):
        softmax_constants(MDP)
    with pytest.raises(ValueError, match="sigma must be positive"):
        cauchy_constants(0)
