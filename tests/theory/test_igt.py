"""The error recursion of implicit gradient transport, its bias without noise, and its constants."""

import numpy as np
import pytest

import pgtheory as pg
from pgtheory.evidence import loglog_slope
from pgtheory.methods import NPGIGT, NormalisedPG, optimise, power
from pgtheory.problems import SampledProblem, Streams
from pgtheory.problems.deterministic import DeterministicProblem
from pgtheory.theory.igt import bias_limit, bias_recursion, supremum, transport_terms

TIMES = np.array([1, 2, 10, 100, 1000, 10_000])
IGT = [0.191581, 0.246236, 0.238438, 0.110902, 0.043963, 0.017192]
MOMENTUM = [-0.236857, -0.334339, -0.423725, -0.262355, -0.126627, -0.058856]
six = {"rtol": 0, "atol": 5.1e-7}


def lag(problem, state):
    return {"lag": state.d - problem.exact_gradient(state.previous)}


def biases(method, derivative, times=TIMES):
    """d_t - J'(θ_t) at given t, from θ = 0. A positive slope at 0 changes no error and sets the walk going upward."""
    problem = DeterministicProblem.polynomial(derivative)
    found = optimise(
        method, problem, np.zeros(1), Streams(1), iterations=times[-1] + 1, record=times + 1, measure=lag
    )
    return found["lag"][:, 0, 0]


def test_bias_by_the_methods_themselves():
    np.testing.assert_allclose(biases(NPGIGT(gamma=power(1, 1)), [1, 0, 0.5]), IGT, **six)
    np.testing.assert_allclose(biases(NormalisedPG(gamma=power(1, 1)), [1, 1]), MOMENTUM, **six)
    assert np.abs(biases(NPGIGT(gamma=power(1, 1)), [1, 3], np.arange(10_001))).max() < 1e-12


def test_bias_by_the_recursion():
    np.testing.assert_allclose(bias_recursion(lambda x: x**2 / 2, 10_000, 4 / 5)[TIMES], IGT, **six)
    np.testing.assert_allclose(bias_recursion(lambda x: x, 10_000, 2 / 3, "momentum")[TIMES], MOMENTUM, **six)
    assert np.abs(bias_recursion(lambda x: 3 * x + 1, 10_000, 4 / 5)).max() < 1e-12


@pytest.mark.parametrize(
    ("method", "derivative", "q", "exponent"),
    [("igt", lambda x: x**2 / 2, 4 / 5, -2 / 5), ("momentum", lambda x: x, 2 / 3, -1 / 3)],
)
def test_bias_approaches_its_limit(method, derivative, q, exponent):
    error = bias_recursion(derivative, 1_000_000, q, method)
    t = np.unique(np.geomspace(1e5, 1e6, 20).astype(int))
    assert loglog_slope(t, np.abs(error[t])).value == pytest.approx(exponent, abs=0.004)
    ratio = error[t] / bias_limit(t, method)
    assert (np.diff(np.abs(ratio - 1)) < 0).all()
    assert ratio[-1] == pytest.approx(1, abs=0.02)


def recorded(problem, method, theta, rng, steps):
    """Iterates θ_0..θ_T, averages d_0..d_T and the gradients that were averaged [T + 1, seeds, dim]."""
    state, path, averages, estimates = method.init(problem, theta, rng), [], [], []
    for t in range(steps + 1):
        before = state.d
        state = method.step(problem, state, rng)
        eta = (2 / (t + 2)) ** 0.8
        path.append(state.previous)
        averages.append(state.d)
        estimates.append((state.d - (1 - eta) * before) / eta)
    eta = (2 / (np.arange(steps + 1) + 2)) ** 0.8
    return np.array(path), np.array(averages), np.array(estimates), eta


def test_recursion_term_by_term_on_sampled_paths():
    problem = SampledProblem(pg.make("dirichlet"), horizon=10)
    theta = np.zeros((4, problem.dim))
    path, d, g, eta = recorded(problem, NPGIGT(gamma=power(0.5, 1)), theta, Streams(4), 60)
    exact = problem.exact
    terms = transport_terms(exact.gradient, exact.hvp, path, eta, estimates=g)
    np.testing.assert_allclose(terms.error, (d - exact.gradient(path))[1:], atol=1e-10)
    np.testing.assert_allclose(terms.first_order, 0, atol=1e-12)
    assert np.abs(terms.past).max() > 1e-4
    assert np.abs(terms.noise).max() > 1e-1
    # the remainders are of second order: a path of half the length has a quarter of them
    half = transport_terms(exact.gradient, exact.hvp, path[20] + 0.01 * (path[20:] - path[20]), eta[20:])
    quarter = transport_terms(exact.gradient, exact.hvp, path[20] + 0.005 * (path[20:] - path[20]), eta[20:])
    ratio = np.linalg.norm(half.past + half.ahead) / np.linalg.norm(quarter.past + quarter.ahead)
    assert ratio == pytest.approx(4, abs=0.1)


def test_recursion_notices_a_gradient_taken_elsewhere():
    """Momentum averages gradients at θ_t: to the recursion of IGT that is noise, and of first order."""
    problem = DeterministicProblem.polynomial([1, 1])
    path, _, g, _ = recorded(problem, NormalisedPG(gamma=power(1, 1)), np.zeros((1, 1)), Streams(1), 50)
    eta = (2 / (np.arange(51) + 2)) ** (2 / 3)
    hvp = lambda theta, v: problem.hvp(theta, None, v)
    terms = transport_terms(problem.exact_gradient, hvp, path, eta)
    assert np.abs(terms.error).max() < 1e-12
    assert np.abs(transport_terms(problem.exact_gradient, hvp, path, eta, estimates=g).noise).max() > 0.01


def test_true_suprema():
    found = [supremum(p, 0.8) for p in (1.6, 1.2, 1.0)]
    np.testing.assert_allclose(found, [1.3951, 1.1767, 1.0845], rtol=0, atol=5e-5)
    assert 0.95 < supremum(0.0, 0.8) < supremum(0.0, 0.8, 1_000_000) < 1


def test_suprema_by_the_definition():
    T = 12
    x = 2 / (np.arange(T + 1) + 2)
    gamma, eta = x**1.2, x**0.8
    ratios = [
        sum(gamma[t] * np.prod(1 - eta[t + 1 : end]) for t in range(end)) * eta[end] / gamma[end]
        for end in range(1, T + 1)
    ]
    assert supremum(1.2, 0.8, T) == pytest.approx(max(ratios), rel=1e-13)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="method must be 'igt' or 'momentum'"):
        bias_recursion(np.square, 10, 0.8, "adam")
    with pytest.raises(ValueError, match="eta must lie in"):
        transport_terms(np.square, np.multiply, np.zeros((3, 1)), [1.0, 0.0, 0.5])
    with pytest.raises(ValueError, match="path must be"):
        transport_terms(np.square, np.multiply, np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="steps must be at least 1"):
        supremum(1.0, 0.8, 0)
