"""A seed that blows up is frozen, shown as NaN and counted; the others do not notice. And the door of ``optimise``."""

from types import SimpleNamespace

import numpy as np
import pytest

import pgtheory as pg
from pgtheory.methods import (
    HAPG,
    HARPG,
    ISMBPG,
    NHARPG,
    NPG,
    NPGIGT,
    PAGEPG,
    SRVRPG,
    STORMPG,
    SVRPG,
    NormalisedPG,
    VanillaPG,
    constant,
    optimise,
)
from pgtheory.problems import Streams

by_name = lambda method: type(method).__name__
TWO_STATE = pg.SampledProblem(pg.make("two-state"), horizon=3)


class Cliff:
    """Noisy ascent on -theta^2 / 2, which ends at a cliff: beyond ``edge`` derivatives are what lies there."""

    dim = 2

    def __init__(self, beyond, edge=20.0):
        self.beyond, self.edge = beyond, edge

    def rollouts(self, theta, rng, n=1):
        noise = np.stack([rng.uniform() for _ in range(n)], 1)[..., None]
        return SimpleNamespace(noise=noise, lengths=np.ones((len(theta), n), int))

    def _over(self, theta, x):
        return np.where((np.abs(theta) > self.edge).any(-1, keepdims=True), self.beyond, x)

    def gradient(self, theta, tau, weights=None, *, baseline=False):
        return self._over(theta, -theta + (tau.noise - 0.5).mean(1))

    def hvp(self, theta, tau, v):
        return self._over(theta, -v)

    def log_ratio(self, theta, behaviour, tau, *, per_decision=False):
        return ((theta - behaviour).sum(-1)[:, None] * (tau.noise[..., 0] - 0.5)) / 10

    def fisher(self, theta, tau):
        return np.broadcast_to(np.eye(2), (len(theta), 2, 2))

    def value(self, theta):
        assert np.isfinite(theta).all()
        return -(theta**2).sum(-1) / 2


METHODS = [
    VanillaPG(constant(0.1)),
    NormalisedPG(constant(0.1)),
    NPGIGT(constant(0.1)),
    HARPG(constant(0.1)),
    NHARPG(constant(0.1)),
    STORMPG(constant(0.1)),
    STORMPG(constant(0.1), normalised=True),
    SVRPG(constant(0.1), m=3),
    SRVRPG(constant(0.1), m=3),
    PAGEPG(constant(0.1), p=0.3),
    ISMBPG(),
    HAPG(constant(0.1), m=3),
    NPG(constant(0.1)),
]
keep_all = lambda problem, state: {"J": problem.value(state.theta), "theta": state.theta, "d": state.d}


@pytest.mark.parametrize("beyond", [np.nan, np.inf], ids=["NaN", "infinity"])
@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_seed_that_blows_up_disturbs_no_other(method, beyond):
    """Seed 1 starts at the cliff's foot, the others on safe ground."""
    theta = np.array([[1.0, 2.0], [25.0, 0.0], [-1.0, 3.0], [0.5, 0.5]])
    options = {"iterations": 12, "record": range(13), "measure": keep_all}
    with_bad = optimise(method, Cliff(beyond), theta, Streams(4), **options)
    others = [0, 2, 3]
    without = optimise(method, Cliff(beyond), theta[others], Streams(others), **options)
    for name, values in without.items():
        np.testing.assert_array_equal(with_bad[name][:, others], values)
    assert not without["diverged"].any()
    assert np.isfinite(without["theta"]).all()
    assert with_bad["diverged"][:, 1].tolist() == [False] + 12 * [True]
    for name in ("J", "theta", "d"):
        assert np.isfinite(with_bad[name][0, 1]).all()
        assert np.isnan(with_bad[name][1:, 1]).all()


def test_a_seed_that_diverges_later_is_recorded_until_then_and_stays_gone():
    """theta_{t+1} = -2 theta_t + noise: 3 * 2^t passes the edge of 20 after step 3, and step 4 is not finite."""
    theta = np.array([[0.0, 0.0], [3.0, 3.0]])
    result = optimise(
        VanillaPG(constant(3.0)),
        Cliff(np.inf),
        theta,
        Streams(2),
        iterations=8,
        record=range(9),
        measure=keep_all,
    )
    gone = result["diverged"][:, 1]
    first = int(gone.argmax())
    assert first == 4
    assert gone[first:].all()
    assert np.isfinite(result["theta"][:first, 1]).all()
    assert np.isnan(result["theta"][first:, 1]).all()


def test_what_diverged_once_never_comes_back():
    class Hiccup(Cliff):
        asked = 0

        def gradient(self, theta, tau, weights=None, *, baseline=False):
            self.asked += 1
            g = super().gradient(theta, tau)
            return np.where([[self.asked == 3], [False]], np.inf, g)

    theta = np.ones((2, 2))
    result = optimise(VanillaPG(), Hiccup(0.0), theta, Streams(2), iterations=6, record=range(7))
    assert result["diverged"].T.tolist() == [3 * [False] + 4 * [True], 7 * [False]]


def test_a_frozen_seed_keeps_its_last_finite_state():
    seen = []
    theta = np.array([[1.0, 1.0], [25.0, 0.0]])

    def measure(problem, state):
        seen.append(state)
        return {"J": problem.value(state.theta)}

    optimise(
        SVRPG(constant(0.1), m=2),
        Cliff(np.nan),
        theta,
        Streams(2),
        iterations=5,
        record=range(6),
        measure=measure,
    )
    for state in seen:
        np.testing.assert_array_equal(state.theta[1], theta[1])
        for part in (state.previous, state.d, state.snapshot, state.mu):
            assert np.isfinite(part[1]).all()
    assert [state.t for state in seen] == list(range(6))


def test_all_seeds_may_be_lost():
    result = optimise(VanillaPG(constant(0.1)), Cliff(np.nan), np.full(2, 30.0), Streams(3), iterations=2)
    assert result["diverged"].all()
    assert np.isnan(result["J"]).all()


def test_a_lookahead_that_overflows_loses_its_seed_alone():
    """N-PG-IGT with steps of 1e308 extrapolates beyond the largest number: the problem must bear that."""
    step = lambda t: 1e308 if t else 0.9e308
    theta = np.array([[0.3, -0.2, 0.5, 0.1]] * 3)
    result = optimise(NPGIGT(step), TWO_STATE, theta, Streams(3), iterations=8, measure=keep_all)
    assert result["diverged"].shape == (1, 3)
    assert result["diverged"].any()


# -- the door ---------------------------------------------------------------------------------------------------

ask = lambda **changes: optimise(
    **(
        {
            "method": VanillaPG(),
            "problem": TWO_STATE,
            "theta": np.zeros(4),
            "rng": Streams(3),
            "iterations": 2,
        }
        | changes
    )
)
BAD = {
    "theta must be [seeds, dim] = [3, 4], got [3, 5]": {"theta": np.zeros(5)},
    "theta must be [seeds, dim] = [3, 4], got [2, 4]": {"theta": np.zeros((2, 4))},
    "theta must be finite, got a NaN": {"theta": np.array([0, 0, np.nan, 0])},
    "theta must hold real numbers": {"theta": ["a", "b", "c", "d"]},
    "rng must be a Streams, got Gen": {"rng": np.random.default_rng(0)},
    "iterations must be at least 1, got 0": {"iterations": 0},
    "iterations must be an integer, got 2.5": {"iterations": 2.5},
    "record must be a sequence of numbers of steps, got 2": {"record": 2},
    "record must hold numbers of steps 0..2, at least one, got []": {"record": []},
    "record must hold numbers of steps 0..2, at least one, got [3]": {"record": [3]},
    "record must hold numbers of steps 0..2, at least one, got [-1]": {"record": [-1]},
    "record must hold numbers of steps 0..2, at least one, got [1.5]": {"record": [1.5]},
    "measure must return arrays [seeds, ...] = [3, ...], got 'x' of shape []": {
        "measure": lambda p, s: {"x": 1.0}
    },
    "measure must return arrays [seeds, ...] = [3, ...], got 'x' of shape [4]": {
        "measure": lambda p, s: {"x": np.zeros(4)}
    },
}


@pytest.mark.parametrize("message", BAD)
def test_what_cannot_be_run_is_refused(message):
    with pytest.raises((TypeError, ValueError)) as refusal:
        ask(**BAD[message])
    assert message in str(refusal.value)
