"""The Cauchy bandit: assumptions that hold on a region, and what they would force if they held everywhere."""

import numpy as np
import pytest

from pgtheory.problems.bandits import CauchyBandit, GaussianBandit
from pgtheory.theory.assumptions import domination_constants
from pgtheory.theory.caution import cauchy_slack, descent_flow, forced_gap
from pgtheory.theory.constants import cauchy_constants

BANDIT = CauchyBandit(sigma=0.5, c=1.0)
REGION = np.linspace(-1, 1, 2001)[:, None]


def test_worked_numbers():
    two = np.array([2.0])
    assert BANDIT.value(two) == pytest.approx(0.24)
    assert BANDIT.exact_gradient(two) == pytest.approx(-0.1536)
    assert BANDIT.fisher_information == cauchy_constants(0.5).M_g == 2.0
    assert BANDIT.optimum == 1.0


def test_bias_and_domination_on_the_region():
    errors = BANDIT.transfer_error(REGION)
    assert errors.max() == pytest.approx(1 / 9, abs=1e-15)
    assert REGION[errors.argmax(), 0] == 0
    slack = cauchy_slack(BANDIT, REGION, 1 / 9)
    assert slack[1000] == pytest.approx(0, abs=1e-15)
    assert np.delete(slack, 1000).min() > 0


def test_no_bias_below_one_serves_the_whole_line():
    far = np.array([[1e2], [1e4], [1e6]])
    errors = BANDIT.transfer_error(far)
    assert (np.diff(errors) > 0).all()
    assert 0.999999 < errors[-1] < 1
    assert cauchy_slack(BANDIT, far, 0.99).max() < 0
    everywhere = np.linspace(-50, 50, 10_001)[:, None]
    assert cauchy_slack(BANDIT, everywhere, 1.0).min() >= 0  # true, and says no more than J >= 0
    assert cauchy_slack(BANDIT, everywhere, 1 / 9).min() < -0.5


def test_the_descent_flow_descends_and_its_gap_stays_bounded():
    times = np.linspace(0, 40, 401)
    path = descent_flow(BANDIT, 0.5, times)
    gaps = BANDIT.optimum - BANDIT.value(path[:, None])
    assert path[0] == pytest.approx(0.5)
    assert (np.diff(gaps) > 0).all()
    assert gaps[-1] < 1
    speed = np.gradient(path, times)[1:-1]
    np.testing.assert_allclose(speed, -BANDIT.exact_gradient(path[1:-1, None])[:, 0], atol=2e-3)


def test_the_inequality_would_force_the_gap_to_infinity():
    rate, relaxation = domination_constants(2.0, 1 / 9, 2.0, 0.0)
    times = np.linspace(0, 40, 401)
    start = float(BANDIT.optimum - BANDIT.value(np.array([0.5])))
    forced = forced_gap(start, rate, relaxation, times)
    explodes = 1 / (rate * (rate * start - relaxation))
    assert np.isfinite(forced[times < explodes]).all()
    assert np.isinf(forced[times >= explodes]).all()
    growing = forced[:50]
    slopes = np.gradient(growing, times[:50], edge_order=2)
    np.testing.assert_allclose(slopes, (rate * growing - relaxation) ** 2, rtol=1e-2)
    path = descent_flow(BANDIT, 0.5, times)
    gaps = BANDIT.optimum - BANDIT.value(path[:, None])
    inside = np.abs(path) <= 1  # there the inequality holds, so the true gap grows at least as fast
    assert inside.sum() > 3
    assert (gaps[inside] >= forced[inside]).all()
    assert (gaps < forced)[-1]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"start must exceed relaxation / rate = 0\.333333"):
        forced_gap(0.3, 1.0, 1 / 3, [0.0, 1.0])
    with pytest.raises(ValueError, match="times must be non-negative, increasing"):
        descent_flow(BANDIT, 0.5, [1.0, 0.0])
    with pytest.raises(TypeError, match="bandit must be a CauchyBandit"):
        cauchy_slack(GaussianBandit(), REGION, 0.1)
