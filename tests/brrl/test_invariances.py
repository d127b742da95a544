"""What may not matter does not: order, units, duplicated samples, unused actions, batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from states import BOX, random_box, random_state

from pgtheory.brrl import chi_square_ball, kl_ball, optimal_ratio, total_variation_ball

seeds = st.integers(0, 2**32 - 1)
temperatures = st.sampled_from([0.0, 1e-9, 0.03, 1.0, 100.0])
CLOSE = {"rtol": 0, "atol": 1e-9}


def solvers(rng, temperature):
    """Every way to make a step, as functions of values and weights."""
    box, radius = random_box(rng), rng.uniform(0.01, 1.5)
    return (
        lambda Q, w: optimal_ratio(Q, w, box, temperature),
        lambda Q, w: kl_ball(Q, w, radius),
        lambda Q, w: chi_square_ball(Q, w, radius),
        lambda Q, w: total_variation_ball(Q, w, radius / 2),
    )


def precision(temperature):
    """Of the threshold: where values many temperatures apart balance it is known only to about one temperature."""
    return 1e-8 + (temperature if temperature < 0.1 else 0.0)


@settings(deadline=None, max_examples=60)
@given(seeds, temperatures)
def test_order_duplicates_and_unused_actions(seed, temperature):
    rng = np.random.default_rng(seed)
    Q, w = random_state(rng)
    k, part = int(rng.integers(len(Q))), rng.random()
    order = rng.permutation(len(Q))
    split = np.append(np.where(np.arange(len(Q)) == k, part, 1) * w, (1 - part) * w[k])
    for solve in solvers(rng, temperature):
        best = solve(Q, w)
        np.testing.assert_allclose(solve(Q[order], w[order]).ratio, best.ratio[order], **CLOSE)
        doubled = solve(np.append(Q, Q[k]), split)
        np.testing.assert_allclose(doubled.ratio[:-1], best.ratio, **CLOSE)
        np.testing.assert_allclose(doubled.ratio[-1], best.ratio[k], **CLOSE)
        for anything in (np.nan, -np.inf, np.inf, 1e9):
            more = solve(np.append(Q, anything), np.append(w, 0))
            np.testing.assert_allclose(more.ratio[:-1], best.ratio, **CLOSE)
            assert more.ratio[-1] == 1
            assert abs(more.threshold - best.threshold) <= precision(temperature)
            np.testing.assert_allclose(more.gain, best.gain, **CLOSE)


@settings(deadline=None, max_examples=60)
@given(seeds, temperatures, st.floats(-1000, 1000), st.floats(1e-3, 1e3))
def test_units_and_constants(seed, temperature, shift, scale):
    rng = np.random.default_rng(seed)
    Q, w = random_state(rng)
    Q = np.round(Q, 3)
    box = random_box(rng)
    best = optimal_ratio(Q, w, box, temperature)
    other = optimal_ratio(scale * Q, 7 * w, box, scale * temperature)
    np.testing.assert_allclose(other.ratio, best.ratio, atol=1e-6 if temperature < 1e-3 else 1e-9)
    assert abs(other.threshold / scale - best.threshold) <= precision(temperature)
    if temperature == 0 or temperature > 1e-3:  # below, rounding of Q + shift is a change of Q
        moved = optimal_ratio(Q + shift, w, box, temperature)
        np.testing.assert_allclose(moved.ratio, best.ratio, atol=1e-9)
        assert abs(moved.threshold - shift - best.threshold) <= precision(temperature)


@settings(deadline=None, max_examples=30)
@given(seeds, temperatures)
def test_a_batch_is_a_loop(seed, temperature):
    rng = np.random.default_rng(seed)
    Q, w = rng.integers(-2, 3, (3, 4, 5)).astype(float), rng.dirichlet(np.ones(5), size=(3, 4))
    Q[0, 0], Q[1] = 1.0, rng.normal(size=(4, 5))
    for solve in solvers(rng, temperature):
        whole = solve(Q, w)
        for i, j in np.ndindex(3, 4):
            one = solve(Q[i, j], w[i, j])
            np.testing.assert_allclose(whole.ratio[i, j], one.ratio, rtol=0, atol=1e-13)
            assert abs(whole.threshold[i, j] - one.threshold) <= precision(temperature)
            np.testing.assert_allclose(whole.gain[i, j], one.gain, rtol=1e-12, atol=1e-13)


def test_a_row_of_radii_is_a_curve():
    Q, w, radii = np.array([1.0, 2.0, 4.0]), np.array([0.2, 0.5, 0.3]), np.array([0.01, 0.04, 0.3, 5.0])
    for ball in (kl_ball, chi_square_ball, total_variation_ball):
        curve = ball(Q, w, radii)
        np.testing.assert_allclose(curve.gain, [ball(Q, w, radius).gain for radius in radii], rtol=1e-12)
        assert (np.diff(curve.gain) > 0).all()


def test_ties_within_the_tolerance():
    Q, w = np.array([0.0, 1.0, 1.0 + 1e-13, 2.0]), np.array([0.2, 0.3, 0.2, 0.3])
    near = optimal_ratio(Q, w, BOX)
    assert near.ratio[1] == near.ratio[2]
    exact = optimal_ratio(Q, w, BOX, tie_tolerance=0.0)
    assert exact.ratio[2] == pytest.approx(1.2)
    assert exact.ratio[1] < near.ratio[1]


def test_arguments_stay_as_they_were():
    Q, w = np.array([1.0, np.nan, 4.0]), np.array([2.0, 0.0, 3.0])
    before = Q.tobytes(), w.tobytes()
    for solve in solvers(np.random.default_rng(0), 0.5):
        solve(Q, w)
    assert (Q.tobytes(), w.tobytes()) == before
