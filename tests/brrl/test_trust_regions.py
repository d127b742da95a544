"""Steps in other trust regions: closed forms, optimality, and the order of their gains."""

import numpy as np
import pytest
from scipy.optimize import linprog
from states import BOX, PI0, Q, random_state

from pgtheory.brrl import (
    RatioBox,
    chi_square_ball,
    exponential_tilt,
    kl_ball,
    optimal_ratio,
    total_variation_ball,
)

BALLS = {chi_square_ball: "chi_square", kl_ball: "kl", total_variation_ball: "total_variation"}


def test_linear_tilt_by_hand():
    best = chi_square_ball(Q, PI0, 0.04)
    np.testing.assert_allclose(best.ratio, (0.748553, 0.928158, 1.287368), atol=5e-7)
    assert best.gain == pytest.approx(0.2 * 1.113553, abs=5e-7)
    assert best.chi_square == pytest.approx(0.04, rel=1e-13)
    assert (best.reverse_kl, best.kl) == pytest.approx((0.019419, 0.019600), abs=5e-7)
    assert best.threshold == pytest.approx(2.4, rel=1e-14)
    assert optimal_ratio(Q, PI0, BOX).gain == pytest.approx(0.16)


def test_clipped_and_slack_branches_by_hand():
    edge = chi_square_ball(Q, PI0, 1.24 / 1.96)  # sd² / (min A)² = 0.632653
    np.testing.assert_allclose(edge.ratio, 1 + (Q - 2.4) / 1.4, atol=1e-12)
    clipped = chi_square_ball(Q, PI0, 1.0)
    np.testing.assert_allclose(clipped.ratio, (0, 0.5, 2.5), atol=1e-12)
    assert clipped.gain == pytest.approx(1.1)
    assert clipped.threshold == pytest.approx(2.4 + 0.1)
    for radius in (7 / 3 + 1e-12, 9.0):
        slack = chi_square_ball(Q, PI0, radius)
        np.testing.assert_allclose(slack.ratio, (0, 0, 10 / 3), atol=1e-12)
        assert slack.gain == pytest.approx(1.6)


def test_both_kl_are_half_the_variance_of_a_small_step():
    for delta in (1e-3, 1e-5):
        best = chi_square_ball(Q, PI0, delta)
        assert best.kl == pytest.approx(delta / 2, rel=2 * delta**0.5)
        assert best.reverse_kl == pytest.approx(delta / 2, rel=2 * delta**0.5)
        assert kl_ball(Q, PI0, delta / 2).gain == pytest.approx(best.gain, rel=delta**0.5)


def test_exponential_tilt_by_hand():
    best = exponential_tilt(Q, PI0, 0.7)
    pi = PI0 * np.exp(Q / 0.7)
    np.testing.assert_allclose(best.policy, pi / pi.sum(), rtol=1e-14)
    np.testing.assert_allclose(best.ratio, np.exp((Q - best.threshold) / 0.7), rtol=1e-14)
    again = kl_ball(Q, PI0, best.kl)
    np.testing.assert_allclose(again.ratio, best.ratio, rtol=1e-12)
    cold = exponential_tilt(Q, PI0, 1e-300)
    np.testing.assert_allclose(cold.policy, (0, 0, 1), atol=1e-15)
    assert kl_ball(Q, PI0, -np.log(0.3) + 1e-9).gain == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("radius", "ratio"), [(0.1, (0.5, 1, 4 / 3)), (0.25, (0, 0.9, 11 / 6)), (0.9, (0, 0, 10 / 3))]
)
def test_total_variation_by_hand(radius, ratio):
    np.testing.assert_allclose(total_variation_ball(Q, PI0, radius).ratio, ratio, atol=1e-14)


@pytest.mark.parametrize("ball", BALLS, ids=lambda ball: ball.__name__)
def test_steps_are_feasible_and_nothing_feasible_gains_more(ball):
    rng, size = np.random.default_rng(11), BALLS[ball]
    for _ in range(150):
        values, weights = random_state(rng)
        radius = rng.uniform(0.01, 1.2) ** 2
        best = ball(values, weights, radius)
        assert (best.ratio >= 0).all()
        assert best.policy.sum() == pytest.approx(1, abs=1e-12)
        top = best.weights[values == values[weights > 0].max()].sum()
        most = {"chi_square": 1 / top - 1, "kl": -np.log(top), "total_variation": 1 - top}[size]
        assert getattr(best, size) == pytest.approx(min(radius, most), abs=1e-9)
        # any other policy, drawn towards the old one until it is feasible
        other = rng.dirichlet(np.full(len(values), 0.5), size=200) * (weights > 0)
        other = np.concatenate(
            [other + 1e-12 * (weights > 0), best.policy * rng.uniform(0.9, 1.1, other.shape)]
        )
        other /= other.sum(-1, keepdims=True)
        rho = np.divide(other, weights, out=np.ones_like(other), where=weights > 0)
        for part in (1.0, 0.7, 0.3, 0.1):
            mixed = 1 + part * (rho - 1)
            step = type(best)(best.advantage, best.weights, mixed, best.threshold)
            inside = getattr(step, size) <= radius
            assert not (step.gain[inside] > best.gain + 1e-10).any()


def test_the_linear_programme_of_the_total_variation_ball():
    rng = np.random.default_rng(12)
    for _ in range(100):
        values, weights = random_state(rng, unused=False)
        n, radius = len(values), rng.uniform(0.01, 0.9)
        # new policy = old + gained - lost, gained and lost at most radius in all
        found = linprog(
            np.concatenate([-values, values]),
            A_ub=[np.repeat([1, 0], n)],
            b_ub=[radius],
            A_eq=[np.repeat([1, -1], n)],
            b_eq=[0],
            bounds=[(0, None)] * n + [(0, w) for w in weights],
        )
        assert total_variation_ball(values, weights, radius).gain == pytest.approx(-found.fun, abs=1e-9)


def test_the_clipped_branch_agrees_with_a_nested_search():
    rng = np.random.default_rng(13)
    checked = 0
    while checked < 30:
        values, weights = random_state(rng, unused=False)
        radius = rng.uniform(0.3, 2)
        top = weights[values == values.max()].sum()
        A = values - weights @ values
        if weights @ A**2 < radius * A.min() ** 2 and radius < 0.95 * (1 / top - 1):
            ratio, nu = nested_search(A, weights, radius)
            best = chi_square_ball(values, weights, radius)
            np.testing.assert_allclose(best.ratio, ratio, atol=1e-7)
            assert best.threshold == pytest.approx(weights @ values + nu, abs=1e-7)
            checked += 1


def nested_search(A, weights, radius):
    """ρ = [1 + (A - ν)/2λ]_+ with ν and λ from the two constraints, one search inside the other."""
    ratio = lambda nu, two: np.maximum(0, 1 + (A - nu) / two)
    nu = lambda two: bisected(lambda x: weights @ ratio(x, two) - 1, -50.0, 50.0)
    two = bisected(lambda two: weights @ (ratio(nu(two), two) - 1) ** 2 - radius, 1e-6, 100.0)
    return ratio(nu(two), two), nu(two)


def bisected(falling, low, high):
    for _ in range(70):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return middle


def test_the_variance_ball_gains_at_least_as_much_as_the_box_inside_it():
    rng = np.random.default_rng(14)
    for _ in range(300):
        values, weights = random_state(rng)
        eps = rng.uniform(0.01, 0.99)
        box, ball = (
            optimal_ratio(values, weights, RatioBox.symmetric(eps)),
            chi_square_ball(values, weights, eps**2),
        )
        assert box.chi_square <= eps**2 + 1e-14
        assert ball.gain >= box.gain - 1e-12
        matched = optimal_ratio(values, weights, RatioBox.symmetric(eps), 0.3)
        for same, size in BALLS.items():  # each ball is the best at its own measure of size
            if getattr(matched, size) > 1e-9:
                assert same(values, weights, getattr(matched, size)).gain >= matched.gain - 1e-9


def test_equal_values_leave_the_policy_alone():
    flat = np.full((2, 3), -3.3)
    for ball in BALLS:
        best = ball(flat, PI0, [1e-18, 0.5])
        np.testing.assert_allclose(best.ratio, 1, atol=1e-15)
        np.testing.assert_allclose(best.gain, 0, atol=1e-15)


def test_a_radius_just_below_what_the_best_actions_need():
    for p in (0.1, 0.3, 0.7):
        weights = np.array([p, 1 - p])
        radii = np.nextafter(-np.log(p), 0) * (1 - np.array([0.0, 1e-16, 1e-15, 1e-12, 1e-6]))
        best = kl_ball([1.0, 0.0], weights, radii)
        np.testing.assert_allclose(best.ratio[:, 0], 1 / p, rtol=1e-3)
        np.testing.assert_allclose(best.gain, 1 - p, rtol=1e-3)
