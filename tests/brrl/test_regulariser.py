"""The regulariser has the properties that the paper describes; the soft median its worked numbers."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from states import BOX, PI0, SKEWED, Q

from pgtheory.brrl import (
    RatioBox,
    fermi_dirac,
    optimal_ratio,
    regularised_value,
    relative_fermi_dirac,
    soft_absolute,
    soft_median,
)


def test_range_and_formula_in_a_symmetric_box():
    eps = 0.2
    assert fermi_dirac(1.0, BOX) == pytest.approx(2 * eps * np.log(eps), abs=1e-14)
    np.testing.assert_allclose(fermi_dirac([BOX.low, BOX.high], BOX), 2 * eps * np.log(2 * eps), rtol=1e-13)
    rho = np.linspace(0.81, 1.19, 39)
    low, high = rho - 1 + eps, 1 + eps - rho
    np.testing.assert_allclose(fermi_dirac(rho, BOX), low * np.log(low) + high * np.log(high), rtol=1e-12)


@pytest.mark.parametrize("box", [BOX, SKEWED, RatioBox.elite(0.3)], ids=str)
def test_least_at_one_with_a_barrier_at_the_ends(box):
    rho = np.linspace(box.low, box.high, 1001)
    assert relative_fermi_dirac(1.0, box) == 0
    assert (relative_fermi_dirac(rho, box) >= 0).all()
    low, high = (rho - box.low)[1:-1], (box.high - rho)[1:-1]
    written = low * np.log(low / (1 - box.low)) + high * np.log(high / (box.high - 1))
    np.testing.assert_allclose(relative_fermi_dirac(rho[1:-1], box), written, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(fermi_dirac([box.low - 1e-9, box.high + 1e-9], box), np.inf)
    steep = [(fermi_dirac(box.high, box) - fermi_dirac(box.high - h, box)) / h for h in (1e-3, 1e-6, 1e-9)]
    assert steep[0] + 6 < steep[1] + 3 < steep[2]


def test_the_value_outside_the_box_is_minus_infinity_where_there_is_weight():
    assert regularised_value([0.5, 1.0, 1.3], Q, PI0, BOX, 0.0) == -np.inf
    assert regularised_value([9.0, 1.0], [1.0, 2.0], [0, 1], BOX, 0.1) == pytest.approx(-0.04 * np.log(0.2))
    gains = regularised_value(np.ones((2, 3)), Q, PI0, BOX, 0.0)
    np.testing.assert_allclose(gains, 0, atol=1e-15)


def test_soft_absolute_value():
    np.testing.assert_allclose(soft_absolute([-2, 0, 3]), (1.126928, 0.693147, 1.548587), atol=5e-7)
    x = np.linspace(-30, 30, 301)
    np.testing.assert_allclose(soft_absolute(x), np.log(np.exp(x / 2) + np.exp(-x / 2)), rtol=1e-12)
    assert soft_absolute(1e300) == 5e299


@pytest.mark.parametrize(
    ("temperature", "median"), [(10, 0.700070), (1, 0.706958), (0.1, 0.908395), (0.01, 0.990837), (0, 1)]
)
def test_median_head_on_binary_returns(temperature, median):
    assert soft_median([0, 1], [0.3, 0.7], temperature) == pytest.approx(median, abs=5e-7)


@pytest.mark.parametrize("temperature", [0.1, 0.7, 5.0])
def test_soft_median_minimises_the_soft_absolute_deviation(temperature):
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=7), rng.dirichlet(np.ones(7))
    loss = lambda u: weights @ soft_absolute((values - u) / temperature)
    found = minimize_scalar(loss, bounds=(values.min(), values.max()), options={"xatol": 1e-10})
    assert soft_median(values, weights, temperature) == pytest.approx(found.x, abs=1e-5)
    for epsilon in (0.05, 0.9):  # the threshold of every symmetric box
        best = optimal_ratio(values, weights, RatioBox.symmetric(epsilon), temperature)
        assert best.threshold == pytest.approx(soft_median(values, weights, temperature), abs=1e-12)
