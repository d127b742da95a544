"""The return of linear-Gaussian policies in closed form: worked numbers, independent routes, and refusals."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import linalg, optimize

from pgtheory.continuous import LinearSystem, best_gain, differentiate, double_integrator, evaluate

SYSTEM, COVARIANCE, K0 = double_integrator(), np.array([[0.25]]), np.array([[-0.2, -0.4]])
seeds = st.integers(0, 2**32 - 1)


def examples(n):
    return settings(max_examples=n, deadline=None)


def psd(rng, size, rank=None):
    factor = rng.normal(size=(size, size if rank is None else rank))
    return factor @ factor.T


def drawn(seed):
    """A random system, gains that keep it stable, two directions, an action covariance and a change of it."""
    rng = np.random.default_rng(seed)
    n, k = rng.integers(1, 4, size=2)
    A, B = rng.normal(size=(n, n)), rng.normal(size=(n, k))
    A *= rng.uniform(0.2, 1.0) / np.abs(np.linalg.eigvals(A)).max()
    costs = psd(rng, n, rng.integers(1, n + 1)), psd(rng, k) + 0.1 * np.eye(k)
    system = LinearSystem(
        A,
        B,
        *costs,
        discount=rng.uniform(0.3, 1.0),
        horizon=int(rng.integers(1, 9)),
        noise=0.1 * psd(rng, n),
        start_mean=rng.normal(size=n),
        start_covariance=psd(rng, n, 1),
    )
    K = 0.3 * rng.normal(size=(k, n))
    return system, K, *rng.normal(size=(2, k, n)), psd(rng, k), psd(rng, k) - psd(rng, k)


def unrolled(system, K, covariance):
    """The return by running second moments forward; complex gains are welcome."""
    X, J = system.start_moment, 0.0
    for h in range(system.horizon):
        actions = K @ X @ K.T + covariance
        J -= system.discount**h * (np.trace(system.Q @ X) + np.trace(system.R @ actions))
        XK = X @ K.T
        A, B = system.A, system.B
        X = A @ X @ A.T + A @ XK @ B.T + B @ XK.T @ A.T + B @ actions @ B.T + system.noise
    return J


def derivative(function, x):
    """Gradient of a real-analytic function of a matrix by complex steps: exact to rounding."""
    out = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape, complex)
        step[index] = 1e-30j
        out[index] = function(x + step).imag / 1e-30
    return out


def symmetric(x):
    """Covariances are symmetric, and so is what a return's derivative means."""
    return (x + x.T) / 2


# -- worked numbers -----------------------------------------------------------------------------------------


def test_the_double_integrator_of_the_study():
    evaluation = evaluate(SYSTEM, K0, COVARIANCE)
    assert pytest.approx(-5.053332, abs=5e-7) == evaluation.J
    np.testing.assert_allclose(evaluation.gradient, [[-9.811601, -6.215251]], rtol=0, atol=5e-7)
    product = differentiate(evaluation, [[1.0, -0.5]]).gradient
    np.testing.assert_allclose(product, [[-44.499948, -3.156150]], rtol=0, atol=5e-7)
    best = best_gain(SYSTEM, COVARIANCE)
    np.testing.assert_allclose(best.K, [[-1.791685, -1.502324]], rtol=0, atol=5e-7)
    assert pytest.approx(-1.969945, abs=5e-7) == best.J


def test_two_steps_by_hand():
    system = LinearSystem([[0.5]], [[2.0]], [[3.0]], [[1.0]], 0.9, 2, noise=[[0.1]], start_mean=[2.0])
    evaluation = evaluate(system, [[-0.5]], [[0.04]])
    # s_0 = 2, a_0 = -1 + noise: E s_1^2 = (1 - 2)^2 + 4 * 0.04 + 0.1 = 1.26
    assert pytest.approx(-(12 + 1.04) - 0.9 * (3.25 * 1.26 + 0.04), abs=1e-13) == evaluation.J


# -- against independent routes -----------------------------------------------------------------------------


@given(seeds)
@examples(100)
def test_value_and_first_derivatives(seed):
    system, K, _, _, covariance, _ = drawn(seed)
    evaluation = evaluate(system, K, covariance)
    close = {"rtol": 1e-10, "atol": 1e-10 * (1 + abs(evaluation.J))}
    np.testing.assert_allclose(evaluation.J, unrolled(system, K, covariance), **close)
    np.testing.assert_allclose(
        evaluation.gradient, derivative(lambda x: unrolled(system, x, covariance), K), **close
    )
    by_covariance = symmetric(derivative(lambda x: unrolled(system, K, x), covariance))
    np.testing.assert_allclose(evaluation.covariance_gradient, by_covariance, **close)


@given(seeds)
@examples(100)
def test_second_derivatives(seed):
    system, K, V, _, covariance, dcovariance = drawn(seed)
    e = 1e-5

    def gradients(sign):
        moved, spread = K + sign * e * V, covariance + sign * e * dcovariance
        by_gain = derivative(lambda x: unrolled(system, x, spread), moved)
        return by_gain, symmetric(derivative(lambda x: unrolled(system, moved, x), spread))

    tangent = differentiate(evaluate(system, K, covariance), V, dcovariance)
    for found, high, low in zip(tangent, gradients(1), gradients(-1)):
        wanted = (high - low) / (2 * e)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * (1 + np.abs(wanted).max()))


@given(seeds)
@examples(60)
def test_the_hessian_is_symmetric(seed):
    system, K, V, U, covariance, _ = drawn(seed)
    evaluation = evaluate(system, K, covariance)
    one, other = (differentiate(evaluation, x).gradient for x in (V, U))
    scale = np.linalg.norm(one) * np.linalg.norm(U) + 1e-300
    assert abs((one * U).sum() - (other * V).sum()) < 1e-10 * scale


@given(seeds)
@examples(40)
def test_a_batch_is_its_elements(seed):
    system, K, V, U, covariance, dcovariance = drawn(seed)
    gains, directions = np.stack([K, K + V, K - U]), np.stack([U, V, K])
    spreads = np.stack([covariance, 2 * covariance, covariance + np.eye(len(covariance))])
    batch = evaluate(system, gains, spreads)
    tangents = differentiate(batch, directions, dcovariance)
    for i in range(3):
        one = evaluate(system, gains[i], spreads[i])
        tangent = differentiate(one, directions[i], dcovariance)
        for name in ("J", "gradient", "covariance_gradient"):
            np.testing.assert_array_equal(getattr(batch, name)[i], getattr(one, name))
        for found, wanted in zip(tangents, tangent):
            np.testing.assert_array_equal(found[i], wanted)


def test_many_directions_at_one_gain():
    directions = np.random.default_rng(0).normal(size=(5, 1, 2))
    evaluation = evaluate(SYSTEM, K0, COVARIANCE)
    together = differentiate(evaluation, directions).gradient
    one_by_one = [differentiate(evaluation, v).gradient for v in directions]
    np.testing.assert_array_equal(together, one_by_one)


# -- the best gain ------------------------------------------------------------------------------------------


@given(seeds)
@example(seed=201784656)  # where the search stops before the gradient has vanished
@examples(60)
def test_nothing_near_the_best_gain_is_better(seed):
    system, *_, covariance, _ = drawn(seed)
    best = best_gain(system, covariance)
    evaluation = evaluate(system, best.K, covariance)
    assert evaluation.J == best.J
    assert np.abs(evaluation.gradient).max() < 1e-6 * (1 + abs(best.J))
    rng = np.random.default_rng(seed)
    moves = rng.normal(size=(300, *best.K.shape)) * 10.0 ** rng.uniform(-4, 0, size=(300, 1, 1))
    assert evaluate(system, best.K + moves, covariance).J.max() <= best.J + 1e-12 * abs(best.J)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_gain_is_found_from_elsewhere(seed):
    """A quasi-Newton search from random gains, on the forward recursion alone."""
    system, *_, covariance, _ = drawn(seed)
    best, rng = best_gain(system, covariance), np.random.default_rng(seed)
    shape = best.K.shape
    for _ in range(3):
        start = best.K.ravel() + 0.5 * rng.normal(size=best.K.size)
        found = optimize.minimize(lambda x: -unrolled(system, x.reshape(shape), covariance), start)
        assert -found.fun <= best.J + 1e-9 * abs(best.J)


def test_a_long_horizon_tends_to_the_riccati_solution():
    options = {"noise": SYSTEM.noise, "start_covariance": SYSTEM.start_covariance}
    parts = SYSTEM.A, SYSTEM.B, SYSTEM.Q, SYSTEM.R
    long = LinearSystem(*parts, discount=0.95, horizon=600, **options)
    root = np.sqrt(0.95)
    P = linalg.solve_discrete_are(root * SYSTEM.A, root * SYSTEM.B, SYSTEM.Q, SYSTEM.R)
    gain = -0.95 * np.linalg.solve(SYSTEM.R + 0.95 * SYSTEM.B.T @ P @ SYSTEM.B, SYSTEM.B.T @ P @ SYSTEM.A)
    np.testing.assert_allclose(best_gain(long, COVARIANCE).K, gain, atol=1e-8)


def test_a_single_decision_is_best_not_taken():
    once = LinearSystem(SYSTEM.A, SYSTEM.B, SYSTEM.Q, SYSTEM.R, 0.95, 1, start_mean=[1.0, 0.5])
    best = best_gain(once, COVARIANCE)
    np.testing.assert_allclose(best.K @ once.start_mean, 0.0, atol=1e-9)
    assert pytest.approx(-(1 + 0.1 * 0.25) - 0.1 * 0.25, abs=1e-12) == best.J


# -- at the door --------------------------------------------------------------------------------------------

GOOD = {"A": [[1.0]], "B": [[1.0]], "Q": [[1.0]], "R": [[1.0]], "discount": 0.9, "horizon": 3}
TWO = {"A": np.eye(2), "B": np.ones((2, 1)), "Q": np.eye(2), "R": [[1.0]], "discount": 0.9, "horizon": 3}


@pytest.mark.parametrize(
    ("base", "change", "message"),
    [
        (GOOD, {"A": [[1.0, 2.0]]}, r"A must be square and not empty, got shape \[1, 2\]"),
        (GOOD, {"A": np.empty((0, 0))}, "A must be square and not empty"),
        (GOOD, {"A": [[np.nan]]}, r"A must be finite, got A\[0, 0\] = nan"),
        (GOOD, {"A": "A"}, "A must hold real numbers"),
        (GOOD, {"B": [[1.0], [2.0]]}, r"B must have shape \[n, k\] = \[1, any\], got \[2, 1\]"),
        (GOOD, {"B": np.empty((1, 0))}, "B must have a column for each action"),
        (GOOD, {"Q": [[-1.0]]}, "Q must be positive semi-definite, its least eigenvalue is -1"),
        (TWO, {"Q": [[1, 2], [3, 1]]}, r"Q must be symmetric, got Q\[0, 1\] = 2 and Q\[1, 0\] = 3; pass \(Q"),
        (GOOD, {"R": np.eye(2)}, r"R must have shape \[n, n\] = \[1, 1\]"),
        (GOOD, {"R": [[-0.1]]}, "R must be positive semi-definite"),
        (GOOD, {"discount": 1.1}, r"discount must be in \[0, 1\)"),
        (GOOD, {"horizon": 0}, "horizon must be at least 1, got 0"),
        (GOOD, {"horizon": 2.5}, "horizon must be an integer"),
        (TWO, {"noise": np.eye(3)}, r"noise must have shape \[n, n\] = \[2, 2\]"),
        (TWO, {"noise": np.diag([1.0, -1.0])}, "noise must be positive semi-definite"),
        (TWO, {"start_mean": [1.0]}, r"start_mean must have shape \[n\] = \[2\]"),
        (TWO, {"start_covariance": [[0, 1], [1, 0]]}, "start_covariance must be positive semi-definite"),
    ],
)
def test_bad_systems_are_refused(base, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        LinearSystem(**base | change)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate("lqr", K0, COVARIANCE), "system must be a LinearSystem, got 'lqr'"),
        (lambda: evaluate(SYSTEM, K0.T, COVARIANCE), r"K must have shape \[..., k, n\] = \[..., 1, 2\]"),
        (lambda: evaluate(SYSTEM, K0, 0.5), r"covariance must have shape \[..., k, k\]"),
        (lambda: differentiate(evaluate(SYSTEM, K0, COVARIANCE), [1.0]), r"V must have shape"),
        (lambda: best_gain(SYSTEM, [[-1.0]]), "covariance must be positive semi-definite"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_system_cannot_change():
    with pytest.raises(ValueError, match="read-only"):
        SYSTEM.A[0, 0] = 2.0
    given = np.eye(2)
    system = LinearSystem(given, np.ones((2, 1)), np.eye(2), [[1.0]], 0.9, 3)
    given[0, 0] = 5.0
    assert system.A[0, 0] == 1.0


def test_gains_that_overflow_disturb_no_other():
    gains = np.stack([K0, [[np.inf, 0.0]], [[1e300, 1.0]], [[np.nan, 0.0]]])
    evaluation, alone = evaluate(SYSTEM, gains, COVARIANCE), evaluate(SYSTEM, K0, COVARIANCE)
    product = differentiate(evaluation, np.ones_like(gains)).gradient
    assert not np.isfinite(evaluation.J[1:]).any()
    assert not np.isfinite(evaluation.gradient[1:]).any()
    assert not np.isfinite(product[1:]).any()
    assert evaluation.J[0] == alone.J
    np.testing.assert_array_equal(evaluation.gradient[0], alone.gradient)
