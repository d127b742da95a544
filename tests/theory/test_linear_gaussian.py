"""The assumptions on an LQR, against simulation and finite differences."""

import numpy as np
import pytest

from pgtheory.continuous import double_integrator
from pgtheory.theory.linear_gaussian import GaussianTheory

SYSTEM = double_integrator()
THEORY = GaussianTheory(SYSTEM, 0.25 * np.eye(1))
K = np.array([[-0.6, -0.8]])


def value(K):
    P = THEORY.cost_to_go(K)
    M = SYSTEM.R + SYSTEM.discount * SYSTEM.B.T @ P @ SYSTEM.B
    noise = np.trace(M @ THEORY.covariance) + SYSTEM.discount * np.trace(P @ SYSTEM.noise)
    return -np.trace(P @ SYSTEM.start_moment) - noise / (1 - SYSTEM.discount)


def simulate(gain, noise, rng, runs=4000, steps=250):
    """States and actions at each time, with weights of the discounted distribution."""
    s = rng.multivariate_normal(SYSTEM.start_mean, SYSTEM.start_covariance, size=runs)
    for t in range(steps):
        a = s @ gain.T + noise * rng.normal(size=(runs, 1))
        yield (1 - SYSTEM.discount) * SYSTEM.discount**t, s, a
        s = s @ SYSTEM.A.T + a @ SYSTEM.B.T + rng.multivariate_normal(np.zeros(2), SYSTEM.noise, size=runs)


def test_the_best_gain_has_the_best_return_and_no_gradient():
    best = THEORY.best_gain
    noiseless = GaussianTheory(SYSTEM, 1e-12 * np.eye(1))
    for way in 1e-3 * np.array([[[1, 0]], [[-1, 0]], [[0, 1]], [[0, -1]]]):
        lost = np.trace((noiseless.cost_to_go(best + way) - noiseless.cost_to_go(best)) @ SYSTEM.start_moment)
        assert 0 < lost < 1e-4


def test_transferred_error_by_simulation_of_the_best_policy():
    """Advantages from the Bellman equation and w* from differences of the return: no formula is shared."""
    rng = np.random.default_rng(0)
    P, gamma = THEORY.cost_to_go(K), SYSTEM.discount
    V = lambda s: -np.einsum("ni,ij,nj->n", s, P, s)
    constant = value(K) + np.trace(P @ SYSTEM.start_moment)
    h = 1e-5 * np.eye(2)[:, None]
    gradient = np.array([(value(K + step) - value(K - step)) / 2e-5 for step in h])
    moments = sum(weight * s.T @ s / len(s) for weight, s, _ in simulate(K, 0.5, rng))
    w = THEORY.covariance[0, 0] * np.linalg.solve(moments, gradient)
    total = 0.0
    for weight, s, a in simulate(THEORY.best_gain, 0.0, rng):
        reward = -np.einsum("ni,ij,nj->n", s, SYSTEM.Q, s) - SYSTEM.R[0, 0] * a[:, 0] ** 2
        after = V(s @ SYSTEM.A.T + a @ SYSTEM.B.T) - np.trace(P @ SYSTEM.noise) + constant
        advantage = reward + gamma * after - V(s) - constant
        score = (a - s @ K.T) / THEORY.covariance[0, 0] * s
        total += weight * ((advantage - (1 - gamma) * score @ w) ** 2).mean()
    assert THEORY.transferred_error(K) == pytest.approx(total, rel=0.05)
    floor = np.linalg.eigvalsh(moments)[0] / THEORY.covariance[0, 0]
    assert THEORY.fisher_floor(K) == pytest.approx(floor, rel=0.05)


def test_at_the_best_gain_only_exploring_is_left():
    P = THEORY.cost_to_go(THEORY.best_gain)
    explored = 0.25 * (SYSTEM.R + SYSTEM.discount * SYSTEM.B.T @ P @ SYSTEM.B).item()
    assert THEORY.transferred_error(THEORY.best_gain) == pytest.approx(explored**2, rel=1e-6)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="spectral radius"):
        THEORY.transferred_error(np.array([[5.0, 5.0]]))
    with pytest.raises(ValueError, match="K must have shape"):
        THEORY.fisher_floor(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="positive definite"):
        GaussianTheory(SYSTEM, np.zeros((1, 1)))
    with pytest.raises(TypeError, match="system must be a LinearSystem"):
        GaussianTheory("lqr", np.eye(1))
