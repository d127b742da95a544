"""Error bounds and guarantees: they hold where their assumptions do, and fail where these do not."""

import numpy as np
import pytest

from pgtheory.methods import NHARPG, NPGIGT, optimise, power
from pgtheory.problems import Streams
from pgtheory.problems.bandits import CauchyBandit
from pgtheory.problems.deterministic import DeterministicProblem
from pgtheory.theory.bounds import Region, gap, guarantee, igt_error, nharpg_error
from pgtheory.theory.constants import Constants, PolicyConstants, cauchy_constants

BANDIT = CauchyBandit(sigma=0.5, c=1.0)
WORST = Constants(cauchy_constants(0.5), discount=0.0, horizon=1)
REGION = Region(mu_F=2.0, eps_bias=1 / 9, M_g=2.0, discount=0.0)  # of the bandit with |theta| <= 1
TIMES = np.array([1, 3, 10, 30, 100, 300])


def lags(method, problem, seeds, start=0.0, times=TIMES):
    """‖d_t - ∇J(θ_t)‖ [times, seeds]."""
    measure = lambda p, state: {"lag": np.linalg.norm(state.d - p.exact_gradient(state.previous), axis=-1)}
    theta, last = np.full(problem.dim, start), times[-1] + 1
    found = optimise(
        method, problem, theta, Streams(seeds), iterations=last, record=times + 1, measure=measure
    )
    return found["lag"]


# -- the IGT error lemma ----------------------------------------------------------------------------------------


def test_igt_error_bound_holds_on_the_cauchy_bandit():
    measured = lags(NPGIGT(gamma=power(0.2, 1)), BANDIT, 400, 1.0).mean(axis=1)
    bound = igt_error(TIMES, 0.2, sigma_g=WORST.sigma_g, L_h=WORST.L_h)
    assert (measured < bound).all()
    assert (measured > bound / 50).all()


def test_igt_error_bound_fails_when_rewards_exceed_r_max():
    measured = lags(NPGIGT(gamma=power(0.2, 1)), BANDIT, 400, 1.0).mean(axis=1)
    tenth = Constants(cauchy_constants(0.5), discount=0.0, horizon=1, r_max=0.02)
    assert (measured[2:] > igt_error(TIMES, 0.2, sigma_g=tenth.sigma_g, L_h=tenth.L_h)[2:]).all()


def test_igt_bias_bound_holds_where_the_hessian_is_lipschitz_and_fails_at_a_kink():
    method = NPGIGT(gamma=power(1, 1))
    smooth = lags(method, DeterministicProblem.polynomial([1, 0, 0.5]), 1)[:, 0]
    assert (smooth <= igt_error(TIMES, 1.0, sigma_g=0, L_h=1.0)).all()
    kinked = DeterministicProblem(  # quadratic on both sides of 3, where the Hessian jumps from -1 to 1
        lambda x: 3 * x[:, 0] + np.abs(x[:, 0] - 3) * (x[:, 0] - 3) / 2,
        lambda x: 3 + np.abs(x - 3),
        lambda x, v: np.sign(x - 3) * v,
    )
    found = lags(method, kinked, 1)[:, 0]
    np.testing.assert_allclose(found[:2], 0, atol=1e-12)  # before it gets there
    assert igt_error(TIMES, 1.0, sigma_g=0, L_h=0.0).max() == 0
    assert found[2] > 0.1  # on both sides of it


def test_igt_error_bound_by_hand():
    x = 2 / 12
    eta, gamma = x**0.8, 0.3 * x
    expected = 2 * np.sqrt(1.3951067) * 5 * np.sqrt(eta) + 1.1766810 * 7 * gamma**2 / eta**2
    expected += (2 * 0.1 * 1.0 + 0.2 * 1.0844718 * gamma) / eta
    assert igt_error(10, 0.3, sigma_g=5, L_h=7, truncation=(0.1, 0.2)) == pytest.approx(expected, rel=1e-6)


# -- the N-HARPG error bound ------------------------------------------------------------------------------------


def test_nharpg_error_bound_holds_on_the_cauchy_bandit():
    measured = (lags(NHARPG(gamma=power(0.2, 1)), BANDIT, 400, 1.0) ** 2).mean(axis=1)
    bound = nharpg_error(TIMES, 0.2, sigma_g=WORST.sigma_g, sigma_h=WORST.sigma_h, L_g=WORST.L_g)
    np.testing.assert_allclose(bound * (TIMES + 2), 4 * (4 + 0.04 * (80 + 144)), rtol=1e-12)
    assert (measured < bound).all()
    assert (measured > bound / 1000).all()


def sine():
    """J'' in [-1, 1], no noise but the choice of the point between the iterates."""
    return DeterministicProblem(
        lambda x: 2 * x[:, 0] - np.cos(x[:, 0]), lambda x: 2 + np.sin(x), lambda x, v: np.cos(x) * v
    )


def test_nharpg_error_bound_needs_an_unbiased_correction():
    method, bound = NHARPG(gamma=power(1, 1)), nharpg_error(TIMES, 1.0, sigma_g=0, sigma_h=0, L_g=1.0)
    assert ((lags(method, sine(), 200) ** 2).mean(axis=1) < bound).all()
    biased = sine()
    biased.hvp = lambda theta, tau, v: np.zeros_like(v)
    assert ((lags(method, biased, 2) ** 2).mean(axis=1) > bound).any()


# -- gradient domination and the guarantees ---------------------------------------------------------------------


def exact_gaps(bandit, start, step, steps):
    """J* - J along normalised exact ascent."""
    theta, gaps = np.array([start]), []
    for t in range(steps + 1):
        gaps.append(bandit.optimum - float(bandit.value(theta)))
        theta = theta + step * 2 / (t + 2) * np.sign(bandit.exact_gradient(theta))
    return np.array(gaps)


def test_gap_bound_holds_in_its_region_and_needs_the_bias_floor():
    start, step, steps = 0.95, 0.9, 20_000
    gaps = exact_gaps(BANDIT, start, step, steps)
    L_g = float(np.abs(BANDIT.exact_hvp(np.zeros(1), np.ones(1))[0]))  # the largest curvature, at the top
    bound = gap(REGION, np.zeros(steps), gaps[0], L_g=L_g, step=step)
    assert (gaps <= bound).all()
    assert bound[-1] == pytest.approx(REGION.floor, abs=0.01)
    assert gaps[-1] == pytest.approx(1 / 3, abs=0.01)  # the class does not contain the best policy
    unbiased = Region(REGION.mu_F, 0.0, REGION.M_g, REGION.discount)
    assert gaps[-1] > gap(unbiased, np.zeros(steps), gaps[0], L_g=L_g, step=step)[-1] + 0.3


def test_gap_bound_fails_outside_the_region():
    """From far away the slope is too small for the rate that the bias of |θ| <= 1 promises."""
    gaps = exact_gaps(BANDIT, 30.0, 0.9, 300)
    assert gaps[-1] > gap(REGION, np.zeros(300), gaps[0], L_g=0.6, step=0.9)[-1]


def test_gap_by_hand():
    region = Region(mu_F=0.5, eps_bias=0.04, M_g=2.0, discount=0.9)
    assert (region.step, region.floor) == (12.0, pytest.approx(2.0))
    delta = gap(region, [0.1, 0.2], 3.0, L_g=5.0, step=0.6, truncation=0.01)
    first = (1 - 0.25 * 0.6 / 3) * 3 + 0.6 / 3 * (0.8 + 0.5 + 0.04) + 5 * 0.36 / 2
    second = (1 - 0.25 * 0.4 / 3) * first + 0.4 / 3 * (1.6 + 0.5 + 0.04) + 5 * 0.16 / 2
    np.testing.assert_allclose(delta, [3.0, first, second], rtol=1e-12)
    # the theory's step forgets the start at once
    assert gap(region, [0.0], 3.0, L_g=0.0)[1] == gap(region, [0.0], 300.0, L_g=0.0)[1] == pytest.approx(2.0)


def test_theorems():
    igt, harpg, nharpg = (guarantee(n, REGION, WORST) for n in (1, 2, 3))
    assert (igt.method, harpg.method, nharpg.method) == ("N-PG-IGT", "HARPG", "N-HARPG")
    assert igt.scale == pytest.approx(2 + WORST.L_h)
    assert harpg.scale == nharpg.scale == pytest.approx(2 + 12 + np.sqrt(80))
    assert (igt.floor, harpg.floor, nharpg.floor) == (REGION.floor, 2 * REGION.floor, REGION.floor)
    assert nharpg.after(99) == pytest.approx(nharpg.scale / 10 + 1 / 3)
    assert igt.after(31, factor=2) == pytest.approx(igt.scale / 2 + 1 / 3)


def test_step_of_theorem_2():
    assert REGION.step == 3.0
    assert REGION.harpg_step(WORST) == pytest.approx(1 / (8 * np.sqrt(6) * (12 + np.sqrt(80))))
    noisy = Constants(PolicyConstants(1.0, 0.0, 0.0), 0.0, 1, r_max=1e-3)
    strict = Region(mu_F=1e6, eps_bias=0, M_g=1.0, discount=0.0)
    assert strict.harpg_step(noisy) == pytest.approx(np.sqrt(2 / 3) / (1e-3 * 1e6))


def test_gaussian_policies_have_no_region():
    with pytest.raises(ValueError, match="M_g must be positive and finite"):
        Region(mu_F=1.0, eps_bias=0.0, M_g=np.inf, discount=0.9)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="mu_F must be positive"):
        Region(mu_F=0.0, eps_bias=0.0, M_g=1.0, discount=0.9)
    with pytest.raises(ValueError, match="theorem must be 1, 2 or 3"):
        guarantee(4, REGION, WORST)
    with pytest.raises(ValueError, match="t must be non-negative"):
        nharpg_error(-1, 0.1, sigma_g=1, sigma_h=1, L_g=1)
    with pytest.raises(ValueError, match="error must have shape"):
        gap(REGION, np.zeros((2, 2)), 1.0, L_g=1.0)
