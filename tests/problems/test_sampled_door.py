"""A sampled problem gives a seed the same bits whatever runs beside it, and refuses what it cannot use."""

import os
import subprocess
import sys

import numpy as np
import pytest
from every_trajectory import odd

import pgtheory as pg

TWO_STATE = pg.SampledProblem(pg.make("two-state"), horizon=3)
DIGEST = """
import hashlib, sys
import numpy as np
import pgtheory as pg
from pgtheory.methods import NHARPG, PAGEPG, STORMPG, optimise

mdp, digest = pg.make("dirichlet", horizon=10), hashlib.sha256()
features = np.random.default_rng(0).normal(size=(5, 3, 6))
for problem in (pg.SampledProblem(mdp), pg.SampledProblem(mdp, pg.LogLinear(features))):
    theta, other, v = np.random.default_rng(1).normal(size=(3, 64, problem.dim))
    tau = problem.rollouts(theta, pg.Streams(64), 40)
    results = [tau.states, tau.actions, tau.rewards, tau.lengths, problem.gradient(theta, tau, baseline=True)]
    results += [problem.gradient(other, tau), problem.hvp(other, tau, v), problem.log_ratio(other, theta, tau)]
    results += [problem.score(other, tau), problem.fisher(other, tau)]
    for method in (NHARPG(batch=20, hvp_batch=20), STORMPG(batch=20, N=40), PAGEPG(p=0.5)):
        measure = lambda problem, state: {"theta": state.theta, "d": state.d}
        run = optimise(method, problem, v[0], pg.Streams(64), iterations=8, measure=measure)
        results += run.values()
    for x in results:
        digest.update(np.ascontiguousarray(x).tobytes())
sys.stdout.write(digest.hexdigest())
"""


def digest(threads):
    environment = os.environ | {"NUMBA_NUM_THREADS": str(threads)}
    return subprocess.run(
        [sys.executable, "-c", DIGEST],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def test_threads_and_processes_change_no_bits():
    one = digest(1)
    assert len(one) == 64
    assert digest(2) == one


FEATURES = np.random.default_rng(2).normal(size=(4, 3, 6))
PROBLEMS = {
    "tabular": pg.SampledProblem(odd()),
    "log-linear": pg.SampledProblem(odd(), pg.LogLinear(FEATURES, odd().actions)),
    "larger": pg.SampledProblem(pg.make("dirichlet", n_states=30, n_actions=4, horizon=20)),
}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("company", [[7], [7, 3], [2, 7, 5], [0, 1, 7, 4, 9, 8, 30]])
def test_a_seed_is_the_same_alone_and_in_company(name, company):
    problem = PROBLEMS[name]

    def record(seeds):
        at, other, v = np.random.default_rng(0).normal(size=(3, 31, problem.dim))[:, seeds]
        rng = pg.Streams(seeds)
        tau = problem.rollouts(at, rng, 3)
        weights = np.exp(problem.log_ratio(other, at, tau, per_decision=True))
        again = problem.rollouts(other, rng)
        parts = [
            tau.states,
            tau.actions,
            tau.rewards,
            tau.lengths,
            tau.pi,
            again.states,
            again.rewards,
            weights,
        ]
        parts += [problem.gradient(other, tau, weights), problem.gradient(at, tau, baseline=True)]
        return [*parts, problem.hvp(at, tau, v), problem.score(other, tau), problem.fisher(other, tau)]

    for together, apart in zip(record(list(range(31))), record(company)):
        np.testing.assert_array_equal(apart, together[company])


def test_a_larger_batch_goes_on_where_a_smaller_one_ends():
    problem = PROBLEMS["tabular"]
    theta = np.random.default_rng(0).normal(size=(3, problem.dim))
    few, many = (problem.rollouts(theta, pg.Streams(3), n) for n in (2, 9))
    np.testing.assert_array_equal(few.states, many.states[:, :2])
    np.testing.assert_array_equal(few.rewards, many.rewards[:, :2])


def test_requests_seeds_and_trajectories_differ():
    problem, rng = PROBLEMS["larger"], pg.Streams(5)
    theta = np.zeros((5, problem.dim))
    first, second = problem.rollouts(theta, rng, 4), problem.rollouts(theta, rng, 4)
    paths = np.concatenate([first.states.reshape(20, -1), second.states.reshape(20, -1)])
    assert len(np.unique(paths, axis=0)) == 40


def test_estimates_change_nothing_they_are_given():
    problem, rng = PROBLEMS["log-linear"], pg.Streams(3)
    theta, other, v = np.random.default_rng(0).normal(size=(3, 3, problem.dim))
    tau = problem.rollouts(theta, rng, 2)
    weights = np.exp(problem.log_ratio(other, theta, tau))
    given = [theta, other, v, weights, tau.states, tau.actions, tau.rewards, tau.lengths, tau.pi]
    copies = [x.copy() for x in given]
    problem.gradient(theta, tau, weights, baseline=True)
    problem.gradient(theta, tau, weights)
    problem.hvp(other, tau, v)
    problem.score(theta, tau)
    problem.fisher(theta, tau)
    for x, copy in zip(given, copies):
        np.testing.assert_array_equal(x, copy)


def test_parameters_changed_in_place_are_noticed():
    """The policies of the last parameters are kept: by value, not by identity."""
    problem, theta = TWO_STATE, np.zeros((1, 4))
    tau = problem.rollouts(theta, pg.Streams(1))
    before = problem.gradient(theta, tau)
    theta += [[3.0, 0.0, 3.0, 0.0]]
    assert not np.array_equal(problem.gradient(theta, tau), before)
    np.testing.assert_array_equal(problem.gradient(theta.copy(), tau), problem.gradient(theta, tau))


# -- parameters that are not finite -----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_diverged_seed_disturbs_no_other(bad):
    problem = PROBLEMS["log-linear"]
    theta, other, v = np.random.default_rng(0).normal(size=(3, 4, problem.dim))
    broken = theta.copy()
    broken[1, 2] = bad
    tau, sound = problem.rollouts(broken, pg.Streams(4), 3), problem.rollouts(theta, pg.Streams(4), 3)
    assert np.isnan(tau.rewards[1]).all()
    assert not tau.lengths[1].any()

    def estimates(theta, tau):
        return (
            problem.gradient(theta, tau),
            problem.gradient(theta, tau, baseline=True),
            problem.gradient(other, tau, np.exp(problem.log_ratio(other, theta, tau))),
            problem.hvp(theta, tau, v),
            problem.hvp(other, tau, v),
            problem.log_ratio(theta, other, tau),
            problem.log_ratio(theta, other, tau, per_decision=True),
            problem.score(theta, tau),
            problem.fisher(theta, tau),
        )

    for lost, whole in zip(estimates(broken, tau), estimates(theta, sound)):
        assert np.isnan(lost[1]).all()
        np.testing.assert_array_equal(lost[[0, 2, 3]], whole[[0, 2, 3]])
    for field in ("states", "actions", "rewards", "lengths"):
        np.testing.assert_array_equal(getattr(tau, field)[[0, 2, 3]], getattr(sound, field)[[0, 2, 3]])


# -- the door ---------------------------------------------------------------------------------------------------

THREE = np.zeros((3, 4))
TAU = TWO_STATE.rollouts(THREE, pg.Streams(3), 2)
SINGLE = TWO_STATE.rollouts(THREE, pg.Streams(3))
at = lambda *shape: np.zeros(shape)
BAD = {
    "horizon must be given": lambda: pg.SampledProblem(pg.make("two-state")),
    "horizon must be at least 1, got 0": lambda: pg.SampledProblem(pg.make("two-state"), horizon=0),
    "mdp must be a FiniteMDP, got 'two-state'": lambda: pg.SampledProblem("two-state", horizon=3),
    "n must be at least 1, got 0": lambda: TWO_STATE.rollouts(THREE, pg.Streams(3), 0),
    "n must be an integer, got 0.5": lambda: TWO_STATE.rollouts(THREE, pg.Streams(3), 0.5),
    "rng must be a Streams, got Gen": lambda: TWO_STATE.rollouts(THREE, np.random.default_rng(0)),
    "theta .* = [2, 4], got [3, 4]": lambda: TWO_STATE.rollouts(THREE, pg.Streams(2)),
    "theta .* = [3, 4], got [4]": lambda: TWO_STATE.rollouts(at(4), pg.Streams(3)),
    "theta .* = [3, 4], got [3, 3]": lambda: TWO_STATE.rollouts(at(3, 3), pg.Streams(3)),
    "theta must hold real numbers": lambda: TWO_STATE.gradient([["a"] * 4] * 3, TAU),
    "theta .* = [3, 4], got [2, 4]": lambda: TWO_STATE.gradient(at(2, 4), TAU),
    "theta .* = [3, 4], got [5, 4]": lambda: TWO_STATE.gradient(at(5, 4), TAU),
    "theta .* = [3, 4], got [3, 1, 4]": lambda: TWO_STATE.gradient(at(3, 1, 4), TAU),
    "weights .* = [3, 2, 3], got [3, 3]": lambda: TWO_STATE.gradient(THREE, TAU, at(3, 3)),
    "weights .* = [3, 2, 3], got [3, 2, 1]": lambda: TWO_STATE.gradient(THREE, TAU, at(3, 2, 1)),
    "weights .* = [3, 2, 3], got [3]": lambda: TWO_STATE.gradient(THREE, TAU, at(3), baseline=True),
    "baseline needs at least two traj": lambda: TWO_STATE.gradient(THREE, SINGLE, baseline=True),
    "v must .* = [3, 4], got [2, 4]": lambda: TWO_STATE.hvp(THREE, TAU, at(2, 4)),
    "v must .* = [3, 4], got [4]": lambda: TWO_STATE.hvp(THREE, TAU, at(4)),
    "theta .* = [3, 4], got [1, 4]": lambda: TWO_STATE.hvp(at(1, 4), TAU, THREE),
    "behaviour .* = [3, 4], got [1, 4]": lambda: TWO_STATE.log_ratio(THREE, at(1, 4), TAU),
    "theta must .* = [3, 4], got [1, 4]": lambda: TWO_STATE.log_ratio(at(1, 4), THREE, TAU),
    "theta .* [3, 4], got [6, 4]": lambda: TWO_STATE.score(at(6, 4), TAU),
    "theta .* [3, 4], got [1, 3]": lambda: TWO_STATE.fisher(at(1, 3), TAU),
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_used_is_refused(message):
    with pytest.raises((TypeError, ValueError), match=message.replace("[", r"\[")):
        BAD[message]()
