"""What the methods ask, spend and keep, and the limits in which they become one another."""

import numpy as np
import pytest
from scripted import Noted, Scripted

import pgtheory as pg
from pgtheory import methods
from pgtheory.methods import (
    HAPG,
    HARPG,
    ISMBPG,
    NHARPG,
    NPG,
    NPGIGT,
    SHARP,
    STORMPG,
    SVRPG,
    ExactNPG,
    NormalisedPG,
    State,
    VanillaPG,
    constant,
    direction,
    momentum,
    power,
)
from pgtheory.problems import Streams

START = np.random.default_rng(0).normal(scale=0.4, size=(4, 3))
NORMALISED = [
    NormalisedPG(),
    NPGIGT(),
    NHARPG(),
    SHARP(),
    STORMPG(power(0.1, 1), normalised=True),
    HAPG(power(0.1, 1), m=3),
]
by_name = lambda method: type(method).__name__


def run(method, problem, steps=6, theta=START):
    rng = Noted(len(theta))
    states = [method.init(problem, theta, rng)]
    for t in range(steps):
        problem.time = t
        states.append(method.step(problem, states[-1], rng))
    return states


# -- what is asked, and where -----------------------------------------------------------------------------------


def test_n_pg_igt_samples_and_scores_at_the_extrapolated_point():
    problem, eta = Scripted(), lambda t: (2 / (t + 2)) ** 0.8
    states = run(NPGIGT(), problem)
    for t, (sampled, scored) in enumerate(zip(problem.questions("rollouts"), problem.questions("gradient"))):
        theta, before = states[t].theta, states[t].previous
        tilde = theta + (1 - eta(t)) / eta(t) * (theta - before)
        np.testing.assert_allclose(sampled, tilde, rtol=1e-14)
        np.testing.assert_array_equal(scored, sampled)
        if t:
            assert np.abs(sampled - theta).min() > 1e-3
    assert [question[2] for question in problem.asked if question[0] == "rollouts"] == [1] * 6
    assert not problem.questions("hvp")
    assert not problem.questions("log_ratio")


def test_harpg_draws_a_second_batch_on_the_segment_but_not_at_first():
    problem, method = Scripted(), NHARPG(batch=2, hvp_batch=3)
    rng = Noted(4)
    state = method.step(problem, method.init(problem, START, rng), rng)
    assert [question[0] for question in problem.asked] == ["rollouts", "gradient"]
    assert not rng.given
    for t in range(1, 5):
        problem.asked.clear()
        before, state = state, method.step(problem, state, rng)
        drawn = {question[2]: question[1] for question in problem.asked if question[0] == "rollouts"}
        q = rng.given[-1][:, None]
        between = q * before.theta + (1 - q) * before.previous
        np.testing.assert_array_equal(drawn[2], before.theta)
        np.testing.assert_array_equal(drawn[3], between)
        np.testing.assert_array_equal(problem.questions("gradient"), [before.theta])
        ((_, curved, v),) = [question for question in problem.asked if question[0] == "hvp"]
        np.testing.assert_array_equal(curved, between)
        np.testing.assert_array_equal(v, before.theta - before.previous)
        assert len(rng.given) == t
    assert len(np.unique(rng.given)) == 16  # a q of its own for every seed and iteration


@pytest.mark.parametrize("method", [HARPG(hvp_batch=4), HAPG(m=100, batch=4)], ids=by_name)
def test_the_point_on_the_segment_is_uniform(method):
    problem = Scripted()
    state = State(START, START - 1.0, np.ones_like(START), 1)
    rng = Streams(4)
    for _ in range(500):
        method.step(problem, state, rng)
    q = 1 - (START - np.array(problem.questions("hvp")))[..., 0].ravel()
    deciles = np.histogram(q, bins=10, range=(0, 1))[0]
    assert deciles.sum() == 2000
    assert ((deciles - 200) ** 2 / 200).sum() < 40  # chi-square, 9 degrees of freedom: 1e-5 by chance


# -- limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [NPGIGT(eta=constant(1.0)), NHARPG(eta=constant(1.0))], ids=by_name)
def test_without_momentum_they_are_normalised_policy_gradient(method):
    for ours, theirs in zip(run(method, Scripted()), run(NormalisedPG(eta=constant(1.0)), Scripted())):
        np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-14)
        np.testing.assert_allclose(ours.d, theirs.d, rtol=1e-14)


def test_where_the_iterate_stood_still_nothing_is_extrapolated_or_corrected():
    d = np.random.default_rng(1).normal(size=START.shape)
    still = State(START, START, d, 5)
    results = {}
    for method in (NPGIGT(eta=constant(0.3)), NHARPG(eta=constant(0.3)), NormalisedPG(eta=constant(0.3))):
        problem = Scripted()
        results[by_name(method)] = method.step(problem, still, Streams(4)).d
        for at in problem.questions("rollouts"):
            np.testing.assert_allclose(at, START, rtol=1e-15)
        for _, _, v in (question for question in problem.asked if question[0] == "hvp"):
            assert not v.any()
    np.testing.assert_allclose(results["NPGIGT"], results["NormalisedPG"], rtol=1e-14)
    np.testing.assert_allclose(results["NHARPG"], results["NormalisedPG"], rtol=1e-14)


@pytest.mark.parametrize("method", NORMALISED, ids=by_name)
def test_normalised_steps_have_the_length_of_the_schedule(method):
    for t, (old, new) in enumerate(zip(states := run(method, Scripted()), states[1:])):
        lengths = np.linalg.norm(new.theta - old.theta, axis=1)
        np.testing.assert_allclose(lengths, method.gamma(t), rtol=1e-12)


@pytest.mark.parametrize("method", [*NORMALISED, VanillaPG(), HARPG(), SVRPG(), ISMBPG(), NPG()], ids=by_name)
def test_a_zero_estimate_keeps_the_iterate(method):
    class Flat(Scripted):
        def gradient(self, theta, tau, weights=None, *, baseline=False):
            return np.zeros_like(theta)

        def hvp(self, theta, tau, v):
            return np.zeros_like(theta)

    for state in run(method, Flat()):
        np.testing.assert_array_equal(state.theta, START)


@pytest.mark.parametrize(
    ("method", "c", "expected"),
    [
        (
            NPGIGT(),
            2,
            {1: 0.191581, 2: 0.246236, 10: 0.238438, 100: 0.110902, 1000: 0.043963, 10000: 0.017192},
        ),
        (
            NormalisedPG(),
            1,
            {1: -0.236857, 2: -0.334339, 10: -0.423725, 100: -0.262355, 1000: -0.126627, 10000: -0.058856},
        ),
        (NPGIGT(), 1, dict.fromkeys((1, 2, 10, 100, 1000), 0.0)),
        (NHARPG(), 1, dict.fromkeys((1, 2, 10, 100, 1000), 0.0)),
        (NHARPG(), None, dict.fromkeys((1, 2, 10, 100), 0.0)),
    ],
    ids=[
        "IGT, quadratic",
        "momentum, linear",
        "IGT, linear",
        "HARPG, linear",
        "HARPG, mean of the correction",
    ],
)
def test_bias_along_a_line(method, c, expected):
    """Check 6: exact derivatives, the iterate moved by x_t whatever d says; d_t - J'(theta_t) is pure bias.

    J' is theta, or theta^2 / 2 (c = 2), or an exponential whose mean curvature over the segment is given (None).
    """

    class Line:
        def rollouts(self, theta, rng, n):
            return None

        def gradient(self, theta, tau):
            return np.exp(theta / 9) if c is None else theta if c == 1 else theta**2 / 2

        def hvp(self, theta, tau, v):
            if c == 1:
                return v
            return np.exp(state.theta / 9) - np.exp(state.previous / 9)  # the mean over q

    state, rng = method.init(Line(), np.zeros((1, 1)), Streams(1)), Streams(1)
    for t in range(max(expected) + 1):
        at = state.theta
        state = method.step(Line(), state, rng)._replace(theta=at + 2 / (t + 2))
        if t in expected:
            error = (state.d - Line().gradient(at, None)).item()
            assert error == pytest.approx(expected[t], abs=5.1e-7 if expected[t] else 1e-11)


# -- small parts ------------------------------------------------------------------------------------------------


def test_directions_have_length_one_whatever_the_scale():
    d = np.array(
        [[3.0, 4.0], [3e200, 4e200], [3e-200, -4e-200], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [5e-324, 0]]
    )
    with np.errstate(over="ignore", invalid="ignore"):
        u = direction(d)
    np.testing.assert_allclose(u[:4], [[0.6, 0.8], [0.6, 0.8], [0.6, -0.8], [0, 0]], rtol=1e-15)
    assert np.isnan(u[4:6]).all()  # an estimate that is not finite must not look like one that is zero
    np.testing.assert_array_equal(u[6], [1, 0])
    ordinary = np.random.default_rng(0).normal(size=(5, 3))
    with np.errstate(over="ignore"):
        among = direction(np.concatenate([ordinary, np.zeros((1, 3)), np.full((1, 3), 1e300)]))
    np.testing.assert_array_equal(among[:5], direction(ordinary))


def test_schedules():
    assert [power(0.5, 1)(t) for t in (0, 2, 6)] == [0.5, 0.25, 0.125]
    assert power(3.0, 2 / 3)(14) == pytest.approx(3 / 4)
    assert constant(0.2)(7) == 0.2
    assert momentum(constant(0.2), 0) == 1.0
    assert [momentum(power(4.0, 1), t) for t in (1, 6, 14)] == [1.0, 1.0, 0.5]


def test_exact_natural_gradient_of_the_study():
    class Exact:
        exact = pg.ExactProblem(pg.make("two-state"))

    theta, method = np.array([[0.3, -0.2, 0.5, 0.1]]), ExactNPG(constant(2.0))
    state = method.step(Exact(), method.init(Exact(), theta, Streams(1)), Streams(1))
    expected = [-2.457058, 2.457058, 6.459244, -6.459244]
    np.testing.assert_allclose(state.d[0], expected, rtol=0, atol=5.1e-7)
    np.testing.assert_allclose(state.theta, theta + 2 * state.d, rtol=1e-15)


def test_methods_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="ridge must be positive, got 0"):
        NPG(ridge=0.0).init(Scripted(), START, Streams(4))
    with pytest.raises(TypeError, match="must have exact quantities for ExactNPG"):
        ExactNPG().init(Scripted(), START, Streams(4))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: methods.VanillaPG(gamma="fast"), TypeError, "gamma must be a number, got 'fast'"),
        (lambda: methods.VanillaPG(gamma=np.nan), ValueError, "gamma must be finite"),
        (lambda: methods.NPGIGT(batch=0), ValueError, "batch must be at least 1, got 0"),
        (lambda: methods.SVRPG(m=0), ValueError, "m must be at least 1, got 0"),
        (lambda: methods.SVRPG(N=2.5), TypeError, "N must be an integer, got 2.5"),
        (lambda: methods.STORMPG(normalised="yes"), TypeError, "normalised"),
        (lambda: methods.ISMBPG(k=np.inf), ValueError, "k must be finite"),
    ],
)
def test_hyperparameters_are_refused_at_the_door(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_number_is_a_constant_schedule():
    assert methods.VanillaPG(gamma=0.1) == methods.VanillaPG(gamma=methods.constant(0.1))
