"""Statistics over seeds against closed forms, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from pgtheory.evidence import iqm, linear_rate, loglog_slope, median, paired, summary

RNG = np.random.default_rng(20240601)
finite = st.floats(-1e6, 1e6)
samples = hnp.arrays(float, st.integers(2, 12), elements=finite)


def test_iqm_is_the_mean_of_the_middle_half():
    x = np.array([100.0, 1, 2, 3, 4, -50, 5, 6])
    assert iqm(x).value == pytest.approx((2 + 3 + 4 + 5) / 4)
    # floor(10/4) = 2 are dropped at each end: six of ten stay
    assert iqm(np.arange(10.0) ** 2).value == pytest.approx(np.mean(np.arange(2, 8) ** 2))
    assert median(x).value == 3.5
    assert summary(x, "mean").value == pytest.approx(x.mean())


def test_estimate_follows_the_shape_of_the_runs():
    curves = RNG.normal(size=(6, 3, 4))
    estimate = iqm(curves)
    assert estimate.value.shape == estimate.low.shape == estimate.high.shape == (3, 4)
    assert (estimate.low <= estimate.value).all()
    assert (estimate.value <= estimate.high).all()
    assert (estimate.n, estimate.level, estimate.diverged) == (6, 0.95, 0)
    assert isinstance(iqm(curves[:, 0, 0]).low, float)


@pytest.mark.parametrize("statistic", ["mean", "median", "iqm"])
def test_coverage_on_normal_data(statistic):
    # columns are independent experiments, so one call makes 1000 intervals; nominal 95 %, and the
    # percentile bootstrap is slightly short at n = 30: Monte Carlo error is 0.8 points at 93 %
    x = np.random.default_rng(1).normal(2.0, 3.0, size=(30, 1000))
    estimate = summary(x, statistic, resamples=1000)
    coverage = np.mean((estimate.low <= 2.0) & (estimate.high >= 2.0))
    assert 0.90 <= coverage <= 0.97


def test_interval_of_the_mean_matches_its_standard_error():
    x = np.random.default_rng(2).normal(size=400)
    estimate = summary(x, "mean", resamples=4000)
    expected = 2 * 1.96 * x.std() / np.sqrt(len(x))
    assert estimate.high - estimate.low == pytest.approx(expected, rel=0.06)
    narrow = summary(x, "mean", level=0.5)
    assert narrow.high - narrow.low == pytest.approx(expected * 0.6745 / 1.96, rel=0.08)


def test_two_runs_give_their_own_range():
    # resamples of two runs are {a, a}, {a, b}, {b, b} with weights 1/4, 1/2, 1/4
    estimate = median([1.0, 3.0])
    assert (estimate.value, estimate.low, estimate.high) == (2.0, 1.0, 3.0)


def test_default_seed_is_fixed_and_generators_are_accepted():
    x = RNG.normal(size=(8, 2))
    assert np.array_equal(iqm(x).low, iqm(x).low)
    assert np.array_equal(iqm(x, rng=5).low, iqm(x, rng=np.random.default_rng(5)).low)
    assert not np.array_equal(iqm(x, rng=5).low, iqm(x, rng=6).low)


@settings(max_examples=25, deadline=None)
@given(x=samples, shift=finite, statistic=st.sampled_from(["iqm", "median", "mean"]))
def test_summary_moves_with_the_data_and_ignores_their_order_in_value(x, shift, statistic):
    estimate, moved = (summary(v, statistic, resamples=50) for v in (x, x + shift))
    assert x.min() - 1e-6 <= estimate.low <= estimate.high <= x.max() + 1e-6
    for name in ("value", "low", "high"):
        assert getattr(moved, name) == pytest.approx(getattr(estimate, name) + shift, rel=1e-6, abs=1e-6)
    assert summary(np.sort(x), statistic, resamples=50).value == pytest.approx(estimate.value, abs=1e-6)


@pytest.mark.parametrize(("worst", "side"), [(np.inf, "high"), (-np.inf, "low")])
def test_diverged_runs_enter_as_the_worst(worst, side):
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, np.nan, 7.0])
    estimate = median(x, worst=worst)
    assert estimate.diverged == 1
    assert estimate.n == 8
    assert estimate.value == (4.5 if worst > 0 else 3.5)
    assert summary(x, "mean", worst=worst).value == worst
    most = np.where(x > 3, np.nan, x)
    assert getattr(median(most, worst=worst), side) == worst
    assert not np.isnan([median(most, worst=worst).low, median(most, worst=worst).high]).any()


def test_divergence_along_a_curve_counts_runs_not_entries():
    curves = np.ones((5, 4))
    curves[0, 2:] = np.inf
    curves[1, 3] = np.nan
    estimate = median(curves, worst=np.inf)
    assert estimate.diverged == 2
    assert estimate.value.tolist() == [1, 1, 1, 1]
    marked = median(curves, worst=np.inf, diverged=[False, False, True, True, True])
    assert marked.diverged == 5
    assert marked.value.tolist() == [np.inf] * 4


@settings(max_examples=25, deadline=None)
@given(exponent=st.floats(-3, 3), scale=st.floats(1e-3, 1e3))
def test_slope_of_an_exact_power_law(exponent, scale):
    x = np.geomspace(1, 1e4, 9)
    y = scale * x**exponent
    single = loglog_slope(x, y)
    assert single.value == pytest.approx(exponent, abs=1e-9)
    assert single.low - 1e-9 <= exponent <= single.high + 1e-9
    # a factor per run moves the mean but not the exponent: the interval is a point
    runs = loglog_slope(x, np.array([0.5, 1.0, 4.0])[:, None] * y, resamples=50)
    assert (runs.low, runs.value, runs.high) == pytest.approx((exponent,) * 3, abs=1e-9)
    assert (single.n, runs.n) == (9, 3)


def test_slope_of_the_mean_is_not_the_mean_of_slopes():
    x = np.array([1.0, np.e])
    y = np.array([[1.0, 1.0], [1.0, np.e**2]])
    expected = np.log((1 + np.e**2) / 2)
    assert loglog_slope(x, y).value == pytest.approx(expected)
    assert expected != pytest.approx(1.0)


def test_t_interval_of_a_slope_matches_the_textbook():
    x = np.arange(1.0, 11.0)
    y = 0.3 * x + RNG.normal(size=10)
    estimate = linear_rate(x, np.exp(y))
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    error = np.sqrt((residual**2).sum() / 8 / ((x - x.mean()) ** 2).sum())
    half = stats.t.ppf(0.975, 8) * error
    assert estimate.value == pytest.approx(np.polyfit(x, y, 1)[0])
    assert (estimate.low, estimate.high) == pytest.approx((estimate.value - half, estimate.value + half))


def test_bootstrap_slope_covers_the_truth():
    rng = np.random.default_rng(3)
    x = np.geomspace(1, 1000, 8)
    hits = 0
    for _ in range(100):
        y = x**-0.5 * rng.gamma(4.0, 0.25, size=(25, 1)) * rng.gamma(4.0, 0.25, size=(25, 8))
        estimate = loglog_slope(x, y, resamples=400)
        hits += estimate.low <= -0.5 <= estimate.high
    assert 85 <= hits <= 99


def test_linear_rate_of_geometric_convergence():
    t = np.arange(20)
    assert linear_rate(t, 3 * 0.9**t).value == pytest.approx(np.log(0.9))
    assert linear_rate(t, np.array([[1.0], [2.0]]) * 0.9**t).value == pytest.approx(np.log(0.9))


def test_pairing_removes_what_seeds_share():
    shared = RNG.normal(scale=100.0, size=20)
    noise = RNG.normal(scale=0.1, size=20)
    result = paired(shared + 1 + noise, shared)
    assert result.mean.low > 0.9
    assert result.mean.high < 1.1
    assert result.improvement.value == 1.0
    assert result.p_value == pytest.approx(stats.wilcoxon(1 + noise).pvalue)
    assert result.median.value == pytest.approx(np.median(shared + 1 + noise) - np.median(shared))
    assert result.n == 20


def test_improvement_counts_ties_as_half_and_is_never_certain():
    result = paired([1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 3.0, 5.0])
    assert result.improvement.value == 0.5
    certain = paired(np.arange(10.0) + 1, np.arange(10.0)).improvement
    wilson = stats.binomtest(10, 10).proportion_ci(method="wilson")
    assert (certain.low, certain.high) == pytest.approx((wilson.low, wilson.high))
    assert certain.low < 0.8
    assert paired(np.arange(60.0), np.arange(60.0)).p_value == 1.0


@settings(max_examples=20, deadline=None)
@given(d=samples)
def test_swapping_the_sides_changes_signs(d):
    forth, back = paired(d, np.zeros_like(d), resamples=50), paired(np.zeros_like(d), d, resamples=50)
    assert back.mean.value == -forth.mean.value
    assert back.mean.low == -forth.mean.high
    assert back.improvement.low == pytest.approx(1 - forth.improvement.high)
    assert back.p_value == pytest.approx(forth.p_value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: median([1.0]), "at least 2 seeds"),
        (lambda: median(3.0), "at least 2 seeds"),
        (lambda: median(np.ones((3, 0))), "at least 2 seeds"),
        (lambda: median([1.0, np.nan]), "1 of 2 runs diverged; say how they enter: worst=inf"),
        (lambda: median([1.0, 2.0], worst=100.0), "worst must be inf"),
        (lambda: median([1.0, 2.0], worst=np.nan), "worst must be inf"),
        (lambda: median([1.0, 2.0], diverged=[True]), "diverged must be 2 booleans"),
        (lambda: median([1.0, 2.0], diverged=[0, 1]), "diverged must be 2 booleans"),
        (lambda: median([1.0, 2.0], level=95), "level must lie strictly between 0 and 1"),
        (lambda: summary([1.0, 2.0], "mode"), "statistic must be one of"),
        (lambda: loglog_slope([1, 2, 3], [1, 0, 1]), "y must be positive to take its logarithm"),
        (lambda: loglog_slope([0, 2, 3], [1, 1, 1]), "x must be positive"),
        (lambda: loglog_slope([1, 2, 3], [1, np.inf, 1]), "y has 1 non-finite values"),
        (lambda: loglog_slope([1, 2, 3], [1, 2]), r"y must be \[points\] or \[seeds, points\]"),
        (lambda: loglog_slope([1, 2], [1, 2]), "needs 3 distinct points"),
        (lambda: loglog_slope([2, 2], np.ones((4, 2))), "needs 2 distinct points"),
        (lambda: loglog_slope([1, 2, 3], np.ones((1, 3))), "at least 2 seeds"),
        (lambda: linear_rate([0, 1, 2], [1, -1, 1]), "y must be positive"),
        (lambda: linear_rate([0, 1, np.nan], [1, 1, 1]), "t has 1 non-finite"),
        (lambda: linear_rate([0, 1, 2], [1, 2, 3], level=1), "level must lie"),
        (
            lambda: paired([1.0, 2.0], [1.0, 2.0, 3.0]),
            r"one number per shared seed, got shapes \(2,\) and \(3,\)",
        ),
        (lambda: paired(np.ones((2, 2)), np.ones((2, 2))), "one number per shared seed"),
        (lambda: paired([1.0], [1.0]), "at least 2 seeds"),
        (lambda: paired([1.0, np.nan], [1.0, 1.0]), "a has 1 non-finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
