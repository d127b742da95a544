"""Objectives given as functions: exact answers in the form of a sampled problem."""

import numpy as np
import pytest

from pgtheory.methods import NHARPG, STORMPG, SVRPG, VanillaPG, constant, optimise, power
from pgtheory.problems import Streams
from pgtheory.problems.deterministic import DeterministicProblem

CUBIC = DeterministicProblem.polynomial([1.0, 2.0, 0.5])  # J' = 1 + 2 x + x^2 / 2
THETA = np.array([[0.0], [2.0], [-1.0]])


def test_polynomial():
    np.testing.assert_allclose(CUBIC.value(THETA), [0, 2 + 4 + 8 / 6, -1 + 1 - 1 / 6])
    np.testing.assert_allclose(CUBIC.exact_gradient(THETA)[:, 0], [1, 7, -0.5])
    tau = CUBIC.rollouts(THETA, Streams(3), 4)
    assert (tau.rewards.shape, tau.lengths.shape) == ((3, 4, 1), (3, 4))
    np.testing.assert_array_equal(tau.rewards[:, 2, 0], CUBIC.value(THETA))
    np.testing.assert_array_equal(CUBIC.gradient(THETA, tau, baseline=True), CUBIC.exact_gradient(THETA))
    np.testing.assert_allclose(CUBIC.hvp(THETA, tau, 3 * np.ones((3, 1)))[:, 0], [6, 12, 3])
    assert CUBIC.log_ratio(THETA, THETA + 1, tau).tolist() == np.zeros((3, 4)).tolist()
    assert CUBIC.log_ratio(THETA, THETA, tau, per_decision=True).shape == (3, 4, 1)
    weights = np.arange(12.0).reshape(3, 4)
    expected = CUBIC.exact_gradient(THETA) * weights.mean(1, keepdims=True)
    np.testing.assert_allclose(CUBIC.gradient(THETA, tau, weights), expected)


def test_without_noise_variance_reduction_reduces_nothing():
    """All unbiased estimators are the exact gradient here, so the methods walk the same way."""
    paths = {}
    for method in (VanillaPG(constant(0.1)), STORMPG(constant(0.1)), SVRPG(constant(0.1))):
        found = optimise(
            method,
            concave(),
            np.ones(2),
            Streams(2),
            iterations=7,
            record=range(8),
            measure=lambda _, state: {"x": state.theta},
        )
        paths[type(method).__name__] = found["x"]
    np.testing.assert_allclose(paths["STORMPG"], paths["VanillaPG"], rtol=1e-12)
    np.testing.assert_allclose(paths["SVRPG"], paths["VanillaPG"], rtol=1e-12)


def test_hessian_aided_methods_run_in_several_dimensions():
    found = optimise(NHARPG(power(0.5, 1)), concave(), np.ones(2), Streams(3), iterations=400)
    assert (found["J"] > -0.05).all()
    assert (found["trajectories"] == 1 + 2 * 399).all()


def concave():
    scale = np.array([1.0, 3.0])
    return DeterministicProblem(
        lambda x: -(scale * x**2).sum(-1) / 2, lambda x: -scale * x, lambda x, v: -scale * v, dim=2
    )


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="hvp must be a function"):
        DeterministicProblem(np.square, np.square, None)
    with pytest.raises(ValueError, match="at least one coefficient"):
        DeterministicProblem.polynomial([])
    with pytest.raises(ValueError, match="dim must be at least 1"):
        DeterministicProblem(np.square, np.square, np.multiply, dim=0)
    with pytest.raises(ValueError, match="n must be at least 1"):
        CUBIC.rollouts(THETA, Streams(3), 0)
