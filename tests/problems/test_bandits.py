"""The one-decision problems: closed forms beside quadrature, samples, and the study's constants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pgtheory.methods.importance import weighted_gradient
from pgtheory.problems import CauchyBandit, CauchyProblem, GaussianBandit, Streams

KINDS = {"gaussian": GaussianBandit, "cauchy": CauchyBandit}
BOTH = pytest.mark.parametrize("kind", KINDS)
SEEDS = 100_000
locations = st.floats(-5, 5)
widths = st.floats(0.05, 5)


def by_quadrature(kind, theta, sigma, c):
    """J, J', J'' from the density and its derivatives, by a trapezoid rule that converges exponentially."""
    if kind == "gaussian":
        step = min(1.0, c / sigma) / 20
        z = np.arange(-12, 12, step)
        weight = stats.norm.pdf(z) * step
        first, second = z, z**2 - 1
    else:
        n = 400_000
        z = np.tan(np.pi * ((np.arange(n) + 0.5) / n - 0.5))
        weight = 1 / n
        first, second = 2 * z / (1 + z**2), (6 * z**2 - 2) / (1 + z**2) ** 2
    reward = weight * c**2 / (c**2 + (theta + sigma * z) ** 2)
    return reward.sum(), (reward * first).sum() / sigma, (reward * second).sum() / sigma**2


def at(theta, seeds=1):
    return np.full((seeds, 1), float(theta))


# -- closed forms -------------------------------------------------------------------------------------------


@BOTH
@given(locations, widths, widths)
@settings(max_examples=40, deadline=None)
def test_value_and_derivatives(kind, theta, sigma, c):
    bandit = KINDS[kind](sigma, c)
    J, slope, curvature = by_quadrature(kind, theta, sigma, c)
    assert bandit.value(at(theta)).item() == pytest.approx(J, rel=1e-9, abs=1e-12)
    assert bandit.exact_gradient(at(theta)).item() == pytest.approx(slope, rel=1e-9, abs=1e-11 / sigma)
    product = bandit.exact_hvp(at(theta), at(2)).item()
    assert product == pytest.approx(2 * curvature, rel=1e-9, abs=1e-11 / sigma**2)


def test_the_cauchy_bandit_of_the_study():
    bandit = CauchyBandit(sigma=0.5, c=1.0)
    assert bandit.value(at(2)).item() == pytest.approx(0.24, abs=1e-15)
    assert bandit.exact_gradient(at(2)).item() == pytest.approx(-0.1536, abs=1e-15)
    assert (bandit.fisher_information, bandit.score_bound, bandit.curvature_bound) == (2.0, 2.0, 8.0)
    assert bandit.optimum == 1.0
    near = np.linspace(-1, 1, 2001)[:, None]
    error = bandit.transfer_error(near)
    assert error.max() == pytest.approx(1 / 9, abs=1e-12)
    assert abs(near[error.argmax()].item()) < 1e-12
    # relaxed weak gradient domination, gamma = 0: eps' + |J'| >= sqrt(2 mu) (1 - J), with equality at 0
    mu_f, m_g = bandit.fisher_information, bandit.score_bound
    epsilon, root = mu_f * np.sqrt(error.max()) / m_g, mu_f / m_g
    slack = epsilon + np.abs(bandit.exact_gradient(near))[:, 0] - root * (1 - bandit.value(near))
    assert slack.min() == pytest.approx(0.0, abs=1e-12)
    assert slack[1000] == pytest.approx(0.0, abs=1e-12)
    # over all theta the assumption becomes vacuous
    far = bandit.transfer_error(10.0 ** np.arange(1, 5)[:, None])
    assert (np.diff(far) > 0).all()
    assert far[-1] == pytest.approx(1.0, abs=1e-3)


def test_the_cauchy_bounds_are_attained_and_hold():
    bandit, seeds = CauchyBandit(0.3), 20_000
    tau = bandit.rollouts(at(1, seeds), Streams(seeds))
    scores = np.abs(bandit.score(at(1, seeds), tau))
    assert 0.999 * bandit.score_bound < scores.max() <= bandit.score_bound * (1 + 1e-12)
    e = 1e-5
    slopes = (bandit.score(at(1 + e, seeds), tau) - bandit.score(at(1 - e, seeds), tau)) / (2 * e)
    assert 0.99 * bandit.curvature_bound < np.abs(slopes).max() < bandit.curvature_bound * (1 + 1e-6)


# -- samples ------------------------------------------------------------------------------------------------


def unbiased(estimates, exact):
    """A z-score beyond 4.5 has probability 7e-6 for unbiased estimates; the tests look at 12."""
    return abs(estimates.mean() - exact) < 4.5 * estimates.std() / np.sqrt(estimates.size)


@BOTH
def test_estimators_are_unbiased(kind):
    bandit = KINDS[kind](0.6, 0.8)
    theta, other = at(0.7, SEEDS), at(0.9, SEEDS)
    tau = bandit.rollouts(theta, Streams(SEEDS))
    assert tau.rewards.shape == (SEEDS, 1, 1)
    assert unbiased(tau.rewards, bandit.value(at(0.7)).item())
    assert unbiased(bandit.gradient(theta, tau), bandit.exact_gradient(at(0.7)).item())
    assert unbiased(bandit.score(theta, tau), 0.0)
    product = bandit.hvp(theta, tau, at(1, SEEDS))
    assert unbiased(product, bandit.exact_hvp(at(0.7), at(1)).item())
    rank_one = bandit.gradient(theta, tau) * bandit.score(theta, tau)
    assert not unbiased(product - rank_one, bandit.exact_hvp(at(0.7), at(1)).item())
    assert unbiased(weighted_gradient(bandit, other, theta, tau), bandit.exact_gradient(at(0.9)).item())
    information = bandit.fisher(theta, tau)
    assert information.shape == (SEEDS, 1, 1)
    np.testing.assert_allclose(information, (1.0 if kind == "gaussian" else 0.5) / 0.6**2, rtol=1e-12)


def test_a_bandit_is_a_linear_problem_with_one_decision():
    bandit = CauchyBandit(0.5, 1.0)
    problem = CauchyProblem(bandit.system, 0.5, c=1.0, episodes=100_000)
    theta = np.array([[0.3]])
    one, other = (x.rollouts(theta, Streams([5]), 3) for x in (bandit, problem))
    np.testing.assert_array_equal(one.rewards, other.rewards)
    assert problem.value(theta).item() == pytest.approx(bandit.value(theta).item(), abs=0.5 * 4.5 / 316)


@BOTH
def test_bad_arguments_are_refused(kind):
    make = KINDS[kind]
    with pytest.raises(ValueError, match="sigma must be positive and finite, got 0"):
        make(0.0)
    with pytest.raises(TypeError, match="c must be a number, got '1'"):
        make(0.5, "1")
    with pytest.raises(ValueError, match=r"theta must have shape \[..., dim\] = \[..., 1\]"):
        make().value([1.0, 2.0])
    assert repr(make()).endswith("Bandit(sigma=0.5, c=1)")
