"""Theorem 4.1: the ratios are the maximiser, at every temperature, in every box, with ties."""

import numpy as np
import pytest
from states import BOX, PI0, SKEWED, Q, random_box, random_state

from pgtheory.brrl import RatioBox, linear_programme, optimal_ratio, regularised_value

TEMPERATURES = (0.0, 1e-12, 1e-3, 0.1, 1.0, 30.0, 1e12)


def sigma(x):
    return 1 / (1 + np.exp(-x))


# -- worked numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("temperature", "mu", "rho"),
    [
        (0.5, 2.232748, (0.831325, 0.954273, 1.188661)),
        (5.0, 2.397841, (0.972224, 0.992047, 1.031772)),
        (0.0, 2.0, (0.8, 0.96, 1.2)),
    ],
)
def test_worked_numbers_of_the_symmetric_box(temperature, mu, rho):
    best = optimal_ratio(Q, PI0, BOX, temperature)
    assert best.threshold == pytest.approx(mu, abs=5e-7)
    np.testing.assert_allclose(best.ratio, rho, atol=5e-7)
    assert best.policy.sum() == pytest.approx(1, abs=1e-15)


def test_worked_gain_is_the_mean_absolute_deviation_from_the_median():
    assert optimal_ratio(Q, PI0, BOX).gain == pytest.approx(0.16, abs=1e-15)
    assert 0.2 * PI0 @ np.abs(Q - 2) == pytest.approx(0.16, abs=1e-15)


def test_worked_numbers_of_the_asymmetric_box():
    np.testing.assert_allclose(optimal_ratio(Q, PI0, SKEWED).ratio, (0.8, 0.912, 1.28), atol=1e-14)
    soft = optimal_ratio(Q, PI0, SKEWED, 0.5)
    np.testing.assert_allclose(soft.ratio, (0.820492, 0.918968, 1.254725), atol=5e-7)
    log_kappa = np.log(0.2 / 0.28)  # kept: with it the values bracket the threshold
    np.testing.assert_allclose(
        soft.ratio, 0.8 + 0.48 * sigma((Q - soft.threshold) / 0.5 + log_kappa), rtol=1e-14
    )
    assert Q.min() < soft.threshold < Q.max()


@pytest.mark.parametrize(("q", "elite"), [(0.4, (0, 0, 0, 0.5, 0.5)), (0.3, (0, 0, 0, 1 / 3, 2 / 3))])
def test_elites_of_the_cross_entropy_method(q, elite):
    best = optimal_ratio(np.arange(5.0), np.ones(5), RatioBox.elite(q))
    np.testing.assert_allclose(best.policy, elite, atol=1e-15)


# -- optimality -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_no_feasible_change_raises_the_objective(seed):
    rng = np.random.default_rng(seed)
    values, weights = random_state(rng)
    box = random_box(rng)
    for temperature in (0.0, 0.05, 0.5, 20.0):
        best = optimal_ratio(values, weights, box, temperature)
        assert weights @ best.ratio == pytest.approx(1, abs=4e-16 * len(weights))
        assert (box.low <= best.ratio).all()
        assert (best.ratio <= box.high).all()
        top = regularised_value(best.ratio, values, weights, box, temperature)
        change = rng.normal(size=(200, len(values)))
        change -= change @ weights[:, None]
        room = np.where(change > 0, box.high - best.ratio, best.ratio - box.low)
        reach = np.where(change != 0, room / np.abs(change), np.inf)[:, weights > 0].min(-1)
        other = best.ratio + (rng.random(200) * reach)[:, None] * change
        other = np.clip(np.where(weights > 0, other, 1.0), box.low, box.high)
        assert regularised_value(other, values, weights, box, temperature).max() <= top + 1e-11


@pytest.mark.parametrize("temperature", [0.05, 0.5, 20.0])
def test_stationarity(temperature):
    """Q - λ H'(ρ) is the same for all actions: the multiplier of normalisation."""
    rng = np.random.default_rng(7)
    for _ in range(100):
        values, weights = random_state(rng, unused=False)
        box = random_box(rng)
        rho = optimal_ratio(values, weights, box, temperature).ratio
        free = (rho - box.low > 1e-6) & (box.high - rho > 1e-6)
        slope = np.log((rho - box.low)[free] / box.down) - np.log((box.high - rho)[free] / box.up)
        multipliers = values[free] - temperature * slope
        assert free.sum() < 2 or np.ptp(multipliers) <= 1e-8 * (1 + temperature)


def test_worked_value_of_the_objective():
    rho = optimal_ratio(Q, PI0, BOX, 0.5).ratio
    assert regularised_value(rho, Q, PI0, BOX, 0.5) == pytest.approx(0.415590, abs=5e-7)


def test_highs_agrees_on_the_linear_programme():
    rng = np.random.default_rng(1)
    tied = 0
    for _ in range(500):
        values, weights = random_state(rng)
        box = random_box(rng)
        ours, theirs = optimal_ratio(values, weights, box), linear_programme(values, weights, box)
        assert ours.gain == pytest.approx(theirs.gain, abs=1e-9)
        tied += len(np.unique(values)) < len(values)
        above, below = weights[values > ours.threshold].sum(), weights[values >= ours.threshold].sum()
        assert above - 1e-12 <= box.share <= below + 1e-12  # an upper quantile
        above, below = (
            weights[values > theirs.threshold + 1e-9].sum(),
            weights[values >= theirs.threshold - 1e-9].sum(),
        )
        assert above - 1e-9 <= box.share <= below + 1e-9
    assert tied > 150


# -- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1e-4, 1e-12, 1e-200])
def test_temperature_to_zero_is_the_even_split_of_the_tie(temperature):
    values = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    weights = np.array([0.1, 0.2, 0.1, 0.3, 0.3])
    tie = 1 + 0.2 * (0.1 - 0.3) / 0.6  # 1 + eps (p_- - p_+) / p_0
    for lam in (temperature, 0.0):
        best = optimal_ratio(values, weights, BOX, lam)
        np.testing.assert_allclose(best.ratio, [0.8, tie, tie, tie, 1.2], atol=1e-14)
        assert best.threshold == pytest.approx(1, abs=20 * temperature)
    rng = np.random.default_rng(2)
    for _ in range(50):
        values, weights = rng.integers(0, 3, 6).astype(float), rng.dirichlet(np.ones(6))
        box = random_box(rng)
        cold, zero = (optimal_ratio(values, weights, box, lam) for lam in (temperature, 0.0))
        np.testing.assert_allclose(cold.ratio, zero.ratio, atol=1e-12)


def test_threshold_between_two_values_is_their_middle():
    for lam in (0.0, 1e-12, 1e-3, 0.3):
        assert optimal_ratio([0.0, 1.0], [1, 1], BOX, lam).threshold == pytest.approx(0.5, abs=1e-12)
    assert optimal_ratio([5.0, 1.0, 3.0, 9.0], np.ones(4), BOX).threshold == 4


@pytest.mark.parametrize("box", [BOX, SKEWED, RatioBox.elite(0.1)], ids=str)
def test_high_temperature_changes_nothing_and_thresholds_the_mean(box):
    best = optimal_ratio(Q, PI0, box, 1e12)
    np.testing.assert_allclose(best.ratio, 1, atol=1e-11)
    assert best.threshold == pytest.approx(2.4, abs=1e-9)
    slope = box.up * box.down / (box.up + box.down)  # gain -> slope * Var(Q) / lambda, not lost in rounding
    assert best.gain == pytest.approx(slope * 1.24 / 1e12, rel=1e-3)
    flat = optimal_ratio(np.full(3, 2.5), PI0, box, 1e-3)
    assert (flat.ratio == 1).all()
    assert flat.threshold == 2.5


def test_the_two_closed_forms_are_one():
    x = np.linspace(-60, 60, 2001)
    np.testing.assert_allclose(BOX.excess(x), 0.2 * np.tanh(x / 2), atol=2e-16)
    np.testing.assert_allclose(SKEWED.excess(x), 0.8 + 0.48 * sigma(x + np.log(0.2 / 0.28)) - 1, atol=4e-16)
    assert BOX.excess(np.zeros(1)) == SKEWED.excess(np.zeros(1)) == 0


@pytest.mark.parametrize("temperature", [0.0, 0.05, 0.5])
def test_samples_of_a_continuous_policy(temperature):
    """Uniform π0 on [0, 1], Q(a) = a: μ = 1/2 and ρ* = 1 + ε tanh((a - 1/2) / 2λ)."""
    exact = lambda a: 1 + 0.2 * (np.tanh((a - 0.5) / (2 * temperature)) if temperature else np.sign(a - 0.5))
    grid = (np.arange(4000) + 0.5) / 4000
    best = optimal_ratio(grid, np.ones(4000), BOX, temperature)
    assert best.threshold == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_allclose(best.ratio, exact(grid), atol=1e-10)
    a = np.random.default_rng(3).random((20, 20_000))
    drawn = optimal_ratio(a, 1.0, BOX, temperature)
    assert np.abs(drawn.threshold - 0.5).max() < 4 * 0.5 / np.sqrt(20_000)
    assert np.abs(drawn.ratio - exact(a)).mean() < 0.004
    skewed = np.random.default_rng(4).beta(2, 1, (1, 20_000))  # weighted back to uniform
    again = optimal_ratio(skewed, 1 / (2 * skewed), BOX, temperature)
    assert again.threshold[0] == pytest.approx(0.5, abs=0.02)


def test_the_simple_sign_form_is_no_distribution():
    """Remark 4.3: 1 + ε sign(Q - median) averages to one only if as much mass is above as below."""
    best = optimal_ratio(Q, PI0, BOX)
    simple = 1 + 0.2 * np.sign(Q - best.threshold)
    assert PI0 @ simple == pytest.approx(1 + 0.2 * (0.3 - 0.2))
    even = np.array([0.3, 0.4, 0.3])
    assert even @ (1 + 0.2 * np.sign(Q - optimal_ratio(Q, even, BOX).threshold)) == pytest.approx(
        1, abs=1e-15
    )


def test_sizes_of_a_step():
    best = optimal_ratio(Q, PI0, BOX)
    assert best.total_variation == pytest.approx((0.2 * 0.2 + 0.5 * 0.04 + 0.3 * 0.2) / 2)
    assert best.chi_square == pytest.approx(0.2 * 0.04 + 0.5 * 0.0016 + 0.3 * 0.04)
    assert best.kl == pytest.approx(PI0 @ (best.ratio * np.log(best.ratio)))
    assert best.reverse_kl == pytest.approx(-PI0 @ np.log(best.ratio))
    assert optimal_ratio(Q, PI0, RatioBox.elite(0.2)).reverse_kl == np.inf
