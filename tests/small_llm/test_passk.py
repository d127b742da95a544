"""pass@k against enumeration of subsets and outcomes, and intervals against their promise."""

import math
from itertools import combinations

import numpy as np
import pytest

from small_llm.passk import pass_at_k, pass_rate


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_estimate_is_the_share_of_subsets_with_a_right_answer(n):
    for c in range(n + 1):
        answers = [1] * c + [0] * (n - c)
        for k in range(1, n + 1):
            subsets = [any(chosen) for chosen in combinations(answers, k)]
            np.testing.assert_allclose(pass_at_k(c, n, k), np.mean(subsets), atol=1e-15)


@pytest.mark.parametrize(("n", "k", "p"), [(4, 1, 0.3), (6, 3, 0.1), (8, 8, 0.25), (10, 4, 0.9)])
def test_the_estimate_is_unbiased(n, k, p):
    c = np.arange(n + 1)
    law = np.array([math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in c])
    np.testing.assert_allclose(law @ pass_at_k(c, n, k), 1 - (1 - p) ** k, rtol=1e-13)
    if k > 1:
        plug_in = 1 - (1 - c / n) ** k
        assert law @ plug_in < 1 - (1 - p) ** k - 1e-3


def test_many_answers_are_no_trouble():
    exact = 1 - math.comb(9_990, 1_000) / math.comb(10_000, 1_000)
    np.testing.assert_allclose(pass_at_k(10, 10_000, 1_000), exact, rtol=1e-12)
    assert pass_at_k(np.array([[0, 5], [9, 10]]), 10, 3).shape == (2, 2)


def test_pass_at_one_is_the_share_of_right_answers():
    right = np.random.default_rng(0).random((50, 8)) < 0.3
    estimate = pass_rate(right)
    np.testing.assert_allclose(estimate.value, right.mean(), rtol=1e-14)
    assert (estimate.n, estimate.level) == (50, 0.95)


def test_wilsons_interval_against_its_definition():
    estimate = pass_rate(np.array([[True]] * 7 + [[False]] * 3))
    z = 1.959963984540054
    for p in (estimate.low, estimate.high):  # where the score test at level 5 % just accepts 7 of 10
        np.testing.assert_allclose(abs(0.7 - p), z * math.sqrt(p * (1 - p) / 10), rtol=1e-12)


def test_an_interval_is_not_empty_when_every_answer_is_right():
    right = np.ones((20, 4), dtype=bool)
    estimate = pass_rate(right, 2)
    assert estimate.high == estimate.value == 1
    assert 0.8 < estimate.low < 0.9
    assert pass_rate(right, 2, interval="bootstrap").low == 1


@pytest.mark.parametrize(("interval", "least", "most"), [("wilson", 0.94, 1.0), ("bootstrap", 0.90, 0.97)])
def test_intervals_cover_the_truth_as_often_as_they_say(interval, least, most):
    rng = np.random.default_rng(1)
    n, k, problems, trials = 6, 3, 60, 300
    covered, truth = 0, mean_pass_at_k_of_a_uniform_p(k)
    for _ in range(trials):
        right = rng.random((problems, n)) < rng.random((problems, 1))
        estimate = pass_rate(right, k, interval=interval, resamples=300)
        covered += estimate.low <= truth <= estimate.high
    assert least <= covered / trials <= most


def test_the_bootstrap_is_narrower_than_wilson_and_reproducible():
    right = np.random.default_rng(2).random((100, 8)) < 0.5
    wilson, bootstrap = pass_rate(right, 2), pass_rate(right, 2, interval="bootstrap")
    assert wilson.low < bootstrap.low < wilson.value < bootstrap.high < wilson.high
    assert bootstrap == pass_rate(right, 2, interval="bootstrap")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pass_at_k(2, 4, 5), ValueError, "k must be 4 at most"),
        (lambda: pass_at_k(2, 4, 0), ValueError, "k"),
        (lambda: pass_at_k(5, 4, 1), ValueError, "correct must lie in 0 … n = 4, got 5"),
        (lambda: pass_at_k(-1, 4, 1), ValueError, "correct must lie in"),
        (lambda: pass_at_k(0.5, 1, 1), TypeError, "correct must hold whole numbers"),
        (lambda: pass_rate(np.ones((3, 2))), TypeError, "correct must hold booleans"),
        (lambda: pass_rate(np.ones(3, dtype=bool)), ValueError, r"shape \[problems, n\]"),
        (lambda: pass_rate(np.ones((0, 2), dtype=bool)), ValueError, "at least one of each"),
        (lambda: pass_rate(np.ones((3, 2), dtype=bool), 3), ValueError, "k must be 2 at most"),
        (
            lambda: pass_rate(np.ones((3, 2), dtype=bool), interval="t"),
            ValueError,
            'interval must be "wilson"',
        ),
        (lambda: pass_rate(np.ones((1, 2), dtype=bool), interval="bootstrap"), ValueError, "two problems"),
        (lambda: pass_rate(np.ones((3, 2), dtype=bool), level=95), ValueError, "level"),
    ],
)
def test_what_cannot_be_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def mean_pass_at_k_of_a_uniform_p(k):
    """∫ 1 - (1 - p)^k dp over [0, 1]."""
    return 1 - 1 / (k + 1)
