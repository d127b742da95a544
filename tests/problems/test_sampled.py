"""Estimators from sampled trajectories, against the exact quantities they estimate.

Where every trajectory can be written down (``every_trajectory``) the expectation of an estimator is a sum, and
equals its target to rounding. Where they are sampled, a mean lies within five standard errors of its target, which
fails by chance for one coordinate in two million; seeds are fixed.
"""

from itertools import product

import numpy as np
import pytest
from every_trajectory import THETA, V, enumerate_all, odd, trajectories

import pgtheory as pg
from pgtheory.mdp.sampling import Trajectories
from pgtheory.methods import weighted_gradient

H = 3
TWO_STATE = pg.SampledProblem(pg.make("two-state"), horizon=H)


def problems():
    rng = np.random.default_rng(11)
    two, strange = pg.make("two-state"), odd()
    yield "tabular", TWO_STATE
    yield "log-linear", pg.SampledProblem(two, pg.LogLinear(rng.normal(size=(2, 2, 3))), horizon=H)
    yield "odd", pg.SampledProblem(strange)
    features = rng.normal(size=(4, 3, 5))
    yield "odd, log-linear", pg.SampledProblem(strange, pg.LogLinear(features, strange.actions))
    yield "odd, undiscounted", pg.SampledProblem(odd(1.0, 2))
    yield "odd, myopic", pg.SampledProblem(odd(0.0, 2))


PROBLEMS = dict(problems())
everywhere = pytest.mark.parametrize("name", PROBLEMS)


def drawn(problem, seed=0):
    """Parameters, others nearby, and a direction [dim]."""
    theta, change, v = np.random.default_rng(seed).normal(size=(3, problem.dim))
    return theta, theta + 0.4 * change, v


def rows(x, n):
    return np.tile(x, (n, 1))


# -- by enumeration: equal to rounding --------------------------------------------------------------------------


def test_the_two_state_mdp_has_64_trajectories_of_which_48_are_possible():
    _, chances = enumerate_all(TWO_STATE, THETA)  # state 1 is never left by action 1
    assert len(chances) == 48
    assert chances.sum() == pytest.approx(1.0, abs=1e-14)


@everywhere
def test_means_of_the_estimators_are_exact(name):
    problem = PROBLEMS[name]
    theta, _, v = drawn(problem)
    tau, chances = enumerate_all(problem, theta)
    n, exact = len(chances), problem.exact
    at = rows(theta, n)
    returns = tau.rewards[:, 0] @ problem.mdp.discount ** np.arange(problem.horizon)
    assert chances.sum() == pytest.approx(1.0, abs=1e-13)
    assert chances @ returns == pytest.approx(problem.value(theta), abs=1e-12)
    for estimate, mean in [
        (problem.gradient(at, tau), problem.exact_gradient(theta)),
        (problem.hvp(at, tau, rows(v, n)), exact.hvp(theta, v)),
        (problem.score(at, tau), np.zeros(problem.dim)),
        (problem.fisher(at, tau), exact.fisher(theta)),
    ]:
        np.testing.assert_allclose(np.tensordot(chances, estimate, 1), mean, rtol=0, atol=1e-12)


@everywhere
@pytest.mark.parametrize("per_decision", [False, True])
def test_importance_weights_carry_a_gradient_to_another_policy(name, per_decision):
    problem = PROBLEMS[name]
    theta, other, _ = drawn(problem, 1)
    tau, chances = enumerate_all(problem, theta)
    n = len(chances)
    moved = weighted_gradient(problem, rows(other, n), rows(theta, n), tau, per_decision=per_decision)
    np.testing.assert_allclose(chances @ moved, problem.exact_gradient(other), rtol=0, atol=1e-12)
    log_w = problem.log_ratio(rows(other, n), rows(theta, n), tau, per_decision=per_decision)
    assert log_w.shape == ((n, 1, problem.horizon) if per_decision else (n, 1))
    weights = np.exp(log_w).reshape(n, -1)
    np.testing.assert_allclose(chances @ weights, 1.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["tabular", "odd, undiscounted"])
@pytest.mark.parametrize("weights", [None, "trajectory", "decision"])
def test_baselines_are_unbiased_with_and_without_weights(name, weights):
    """Over all pairs of trajectories: a baseline of the other one alone leaves the mean where it was."""
    problem = PROBLEMS[name]
    theta, other, _ = drawn(problem, 2)
    single, chances = enumerate_all(problem, theta)
    pairs = np.array(list(product(range(len(chances)), repeat=2)))
    tau = Trajectories(
        *(x[pairs, 0] for x in (single.states, single.actions, single.rewards, single.lengths)),
        single.pi[pairs[:, 0]],
    )
    chance, at = chances[pairs].prod(axis=1), rows(theta, len(pairs))
    w = None
    if weights:
        behaviour, at = at, rows(other, len(pairs))
        w = np.exp(problem.log_ratio(at, behaviour, tau, per_decision=weights == "decision"))
    with_baseline = problem.gradient(at, tau, w, baseline=True)
    np.testing.assert_allclose(chance @ with_baseline, problem.exact_gradient(at[0]), rtol=0, atol=1e-12)
    assert np.abs(with_baseline - problem.gradient(at, tau, w)).max() > 0.1


def test_a_baseline_is_the_mean_over_the_other_trajectories():
    problem, (theta, *_) = PROBLEMS["odd"], drawn(PROBLEMS["odd"])
    tau = problem.rollouts(rows(theta, 2), pg.Streams(2), 4)
    psi = np.cumsum((tau.rewards * 0.8 ** np.arange(H))[..., ::-1], -1)[..., ::-1]
    expected = np.zeros((2, problem.dim))
    for s, i in np.ndindex(2, 4):
        others = np.delete(psi[s], i, axis=0).mean(0)
        for t in range(tau.lengths[s, i]):
            score = problem.policy.score(theta, int(tau.states[s, i, t]), int(tau.actions[s, i, t]))
            expected[s] += (psi[s, i, t] - others[t]) * score / 4
    np.testing.assert_allclose(problem.gradient(rows(theta, 2), tau, baseline=True), expected, atol=1e-13)


# -- trajectory by trajectory -----------------------------------------------------------------------------------


def test_the_study_s_trajectory():
    """Check 1 of the study of arXiv:2302.01734: s = (0, 1, 1), a = (1, 0, 1)."""
    pi = TWO_STATE.policy.probabilities(THETA)
    tau = trajectories([((0, 1, 1), (1, 0, 1), (0.2, 1.0, -0.5))], H, pi)
    theta, v = THETA[None], V[None]
    g, u = TWO_STATE.gradient(theta, tau)[0], TWO_STATE.score(theta, tau)[0]
    Bv = TWO_STATE.hvp(theta, tau, v)[0]
    near = {"rtol": 0, "atol": 5.1e-7}
    np.testing.assert_allclose(g, [-0.432609, 0.432609, 0.441118, -0.441118], **near)
    np.testing.assert_allclose(u, [-0.622459, 0.622459, -0.197375, 0.197375], **near)
    assert u @ V == pytest.approx(-0.474428, abs=5.1e-7)
    np.testing.assert_allclose(g * (u @ V), [0.205242, -0.205242, -0.209279, 0.209279], **near)
    np.testing.assert_allclose(Bv - g * (u @ V), [-0.163328, 0.163328, 0.016218, -0.016218], **near)
    np.testing.assert_allclose(Bv, [0.041914, -0.041914, -0.193061, 0.193061], **near)


@everywhere
def test_a_batch_is_the_mean_of_its_trajectories(name):
    """Also the Hessian–vector product: products of batch means would not be."""
    problem, n = PROBLEMS[name], 7
    theta, other, v = drawn(problem)
    tau = problem.rollouts(np.stack([theta, other]), pg.Streams([3, 5]), n)
    at, along = np.stack([other, theta]), np.stack([v, -v])
    flat = Trajectories(
        *(x.reshape(2 * n, 1, *x.shape[2:]) for x in (tau.states, tau.actions, tau.rewards, tau.lengths)),
        np.repeat(tau.pi, n, axis=0),
    )
    weights = np.random.default_rng(0).uniform(0.5, 2, tau.rewards.shape)
    each, vs = np.repeat(at, n, axis=0), np.repeat(along, n, axis=0)
    for together, apart in [
        (problem.gradient(at, tau), problem.gradient(each, flat)),
        (problem.gradient(at, tau, weights), problem.gradient(each, flat, weights.reshape(2 * n, 1, -1))),
        (problem.hvp(at, tau, along), problem.hvp(each, flat, vs)),
        (problem.score(at, tau), problem.score(each, flat)),
        (problem.fisher(at, tau), problem.fisher(each, flat)),
    ]:
        mean = apart.reshape(2, n, *apart.shape[1:]).mean(1)
        np.testing.assert_allclose(together, mean, rtol=1e-12, atol=1e-13)
    ratios = problem.log_ratio(at, at[::-1], tau)
    np.testing.assert_allclose(ratios.ravel(), problem.log_ratio(each, each[::-1], flat).ravel(), atol=1e-13)


def test_weights_of_a_trajectory_multiply_its_rewards():
    problem = PROBLEMS["odd"]
    theta, *_ = drawn(problem)
    tau = problem.rollouts(theta[None], pg.Streams(1), 5)
    w = np.random.default_rng(0).uniform(0.5, 2, (1, 5))
    weighted = Trajectories(tau.states, tau.actions, tau.rewards * w[..., None], tau.lengths, tau.pi)
    expected = problem.gradient(theta[None], weighted)
    for weights in (w, w.tolist(), np.repeat(w[..., None], H, -1)):
        np.testing.assert_allclose(problem.gradient(theta[None], tau, weights), expected, rtol=1e-14)


@everywhere
def test_scores_of_a_state_add_up_to_zero(name):
    problem = PROBLEMS[name]
    theta, *_ = drawn(problem)
    g = problem.gradient(theta[None], problem.rollouts(theta[None], pg.Streams(1), 20))
    if problem.dim == problem.mdp.r.size:
        g = g.reshape(problem.mdp.r.shape)
        np.testing.assert_allclose(g.sum(-1), 0.0, atol=1e-14)
        assert not g[problem.mdp.terminal].any()
        assert not g[~problem.mdp.actions].any()


# -- sampled: within five standard errors -----------------------------------------------------------------------


def assert_mean(samples, target):
    """Means over seeds [seeds, ...] within five standard errors of the target."""
    error = samples.std(axis=0, ddof=1) / len(samples) ** 0.5
    off = np.abs(samples.mean(axis=0) - target)
    assert (off <= 5 * error + 1e-12).all(), (off / np.maximum(error, 1e-300)).max()
    assert error.max() > 0


@everywhere
def test_sampled_estimators_are_unbiased(name):
    problem, seeds = PROBLEMS[name], 500
    theta, other, v = drawn(problem, 4)
    at, elsewhere, along = rows(theta, seeds), rows(other, seeds), rows(v, seeds)
    tau = problem.rollouts(at, pg.Streams(seeds), 60)
    assert_mean(problem.gradient(at, tau), problem.exact_gradient(theta))
    assert_mean(problem.gradient(at, tau, baseline=True), problem.exact_gradient(theta))
    assert_mean(problem.hvp(at, tau, along), problem.exact.hvp(theta, v))
    assert_mean(problem.score(at, tau), 0.0)
    assert_mean(problem.fisher(at, tau), problem.exact.fisher(theta))
    for per_decision in (False, True):
        moved = weighted_gradient(problem, elsewhere, at, tau, per_decision=per_decision)
        assert_mean(moved, problem.exact_gradient(other))


def test_the_study_s_instance():
    problem = pg.SampledProblem(pg.make("dirichlet", horizon=10))
    uniform = np.zeros((2000, problem.dim))
    assert problem.value(uniform[:1])[0] == pytest.approx(4.100210, abs=5e-7)
    assert problem.optimum == pytest.approx(5.864719, abs=5e-7)
    g = problem.gradient(uniform, problem.rollouts(uniform, pg.Streams(2000)))
    assert_mean(g, problem.exact_gradient(uniform[0]))
    assert g.var(axis=0).sum() == pytest.approx(
        35.5, rel=0.06
    )  # measured there; the error of a variance here is 1.5 %
