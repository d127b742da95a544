"""Bad input is refused by name."""

import numpy as np
import pytest
from states import BOX, PI0, Q

from pgtheory.brrl import (
    RatioBox,
    chi_square_ball,
    exponential_tilt,
    improve,
    iterate,
    iterations_to_close,
    kl_ball,
    linear_programme,
    lower_bound,
    optimal_ratio,
    regularised_value,
    relative_fermi_dirac,
    total_variation_ball,
)
from pgtheory.mdp import FiniteMDP, make

NAN, INF = float("nan"), float("inf")
TWO, EVEN = make("two-state"), np.full((2, 2), 0.5)
HISTORY = iterate(TWO, BOX, iterations=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RatioBox(1.0, 1.2), r"c_l must be below 1, .*got 1"),
        (lambda: RatioBox(-0.1, 1.2), r"c_l must be at least 0.*got -0\.1"),
        (lambda: RatioBox(0.5, 1.0), r"c_h must be above 1.*got 1"),
        (lambda: RatioBox(0.5, INF), "c_h must be finite"),
        (lambda: RatioBox(NAN, 2.0), "c_l must be finite"),
        (lambda: RatioBox.symmetric(0.0), "epsilon must be positive"),
        (lambda: RatioBox.symmetric(1.0), r"epsilon must be below 1.*got 1; .*RatioBox\(low, high\)"),
        (lambda: RatioBox.elite(1.0), r"q must be a share of elites in \(0, 1\), got 1"),
        (lambda: RatioBox(0.5, 3.0).epsilon, "symmetric box, got"),
        (lambda: optimal_ratio(Q, PI0, BOX, -1e-9), "temperature must be non-negative"),
        (lambda: optimal_ratio(Q, PI0, BOX, NAN), "temperature must be non-negative and finite"),
        (lambda: optimal_ratio(Q, PI0, BOX, tie_tolerance=-1), "tie_tolerance must be non-negative"),
        (lambda: optimal_ratio(Q, [1, -2, 3], BOX), "weights must be finite and non-negative, got -2"),
        (lambda: optimal_ratio(Q, [1, NAN, 1], BOX), "weights must be finite and non-negative, got nan"),
        (lambda: optimal_ratio(Q, [[1, 1, 1], [0, 0, 0]], BOX), r"positive sum, row \[1\] is all zeros"),
        (lambda: optimal_ratio([1, NAN, 2], PI0, BOX), r"Q must be finite .* got Q\[1\] = nan"),
        (lambda: optimal_ratio([1, 2], PI0, BOX), r"shapes that broadcast .* got \[2\] and \[3\]"),
        (lambda: optimal_ratio(1.0, 1.0, BOX), "at least one action"),
        (lambda: optimal_ratio(np.ones((2, 0)), np.ones(0), BOX), "at least one action"),
        (lambda: linear_programme(np.ones((2, 3)), PI0, BOX), r"Q must be one state's values \[A\]"),
        (lambda: regularised_value(Q, Q, PI0, BOX, -1.0), "temperature must be non-negative"),
        (lambda: exponential_tilt(Q, PI0, 0.0), "temperature must be positive"),
        (lambda: kl_ball(Q, PI0, 0.0), "radius must be positive"),
        (lambda: chi_square_ball(Q, PI0, [0.1, NAN]), "radius must be positive"),
        (
            lambda: total_variation_ball(np.ones((2, 3)), PI0, [1, 1, 1]),
            "radius must broadcast to the batch axes",
        ),
        (
            lambda: improve(TWO.replace(horizon=3), EVEN, BOX),
            "mdp must have an infinite horizon, got horizon 3",
        ),
        (lambda: improve(TWO, 2 * EVEN, BOX), "rows of pi must sum to one"),
        (lambda: lower_bound(TWO, EVEN[:1], EVEN, BOX), "pi must have shape"),
        (lambda: iterate(TWO, BOX, iterations=0), "iterations must be"),
        (lambda: iterations_to_close(HISTORY, -5.0), "optimum must be at least every return"),
        (lambda: iterations_to_close(HISTORY, 1e3, 1.1), "fraction must be a probability"),
    ],
)
def test_values_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RatioBox("0.5", 2), "c_l must be a number"),
        (lambda: RatioBox.symmetric(True), "epsilon must be a number"),
        (lambda: optimal_ratio(Q, PI0, 0.2), "box must be a RatioBox, got 0.2"),
        (lambda: relative_fermi_dirac(1.0, (0.8, 1.2)), "box must be a RatioBox"),
        (lambda: optimal_ratio(["a"], [1], BOX), "Q must hold real numbers"),
        (lambda: improve("two-state", EVEN, BOX), "mdp must be a FiniteMDP"),
        (lambda: iterate("two-state", BOX), "mdp must be a FiniteMDP"),
        (lambda: improve(TWO, EVEN, 0.2), "box must be a RatioBox"),
        (lambda: iterations_to_close([1.0], 2.0), "history must be a History"),
    ],
)
def test_things_of_another_kind_are_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_an_mdp_with_one_action_has_nothing_to_improve():
    only = FiniteMDP(np.ones((1, 1, 1)), [[1.0]], 0.5)
    assert improve(only, [[1.0]], BOX, 0.1).identity == (0, 0)
