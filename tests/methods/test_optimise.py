"""Running methods: what is recorded, what is counted, and what a seed that blows up does to the others: nothing."""

import numpy as np
import pytest

import pgtheory as pg
from pgtheory.methods import (
    HAPG,
    HARPG,
    ISMBPG,
    MNPG,
    NHARPG,
    NPG,
    NPGIGT,
    PAGEPG,
    SHARP,
    SRVRPG,
    STORMPG,
    SVRPG,
    ExactNPG,
    Meter,
    NormalisedPG,
    VanillaPG,
    optimise,
    power,
)
from pgtheory.problems import Streams

by_name = lambda method: type(method).__name__
TWO_STATE = pg.SampledProblem(pg.make("two-state"), horizon=3)
GRID = pg.SampledProblem(pg.make("gridworld", layout=["SS", "SG"]), horizon=8)  # episodes end early
METHODS = [
    VanillaPG(batch=2, baseline=True),
    NormalisedPG(),
    NPGIGT(),
    HARPG(power(0.01, 0.5)),
    NHARPG(batch=2),
    SHARP(),
    STORMPG(N=4, batch=2),
    SVRPG(m=3, N=6),
    SRVRPG(m=3, N=6),
    PAGEPG(p=0.5, N=6),
    ISMBPG(),
    HAPG(m=3, N=6),
    NPG(batch=3),
    MNPG(batch=3),
]
whole = lambda problem, state: {"theta": state.theta, "d": state.d}


# -- budgets ----------------------------------------------------------------------------------------------------

SPENT = {  # trajectories after 1, 2, ... iterations
    VanillaPG(batch=3): [3, 6, 9, 12, 15],
    NormalisedPG(): [1, 2, 3, 4, 5],
    NPGIGT(): [1, 2, 3, 4, 5],
    NHARPG(): [1, 3, 5, 7, 9],
    HARPG(batch=2, hvp_batch=3): [2, 7, 12, 17, 22],
    SHARP(): [1, 3, 5, 7, 9],
    STORMPG(N=7, batch=2): [7, 9, 11, 13, 15],
    SVRPG(m=3, N=6, batch=2): [6, 8, 10, 16, 18],
    SRVRPG(m=3, N=6, batch=2): [6, 8, 10, 16, 18],
    HAPG(m=3, N=6, batch=2): [6, 8, 10, 16, 18],
    PAGEPG(p=0.0, N=6, batch=2): [6, 8, 10, 12, 14],
    PAGEPG(p=1.0, N=6, batch=2): [6, 12, 18, 24, 30],
    ISMBPG(batch=2): [2, 4, 6, 8, 10],
    NPG(batch=4): [4, 8, 12, 16, 20],
    ExactNPG(): [0, 0, 0, 0, 0],
}


@pytest.mark.parametrize("method", SPENT, ids=by_name)
def test_trajectories_spent(method):
    problem = pg.SampledProblem(pg.make("two-state"), horizon=3)
    result = optimise(method, problem, np.zeros(4), Streams(2), iterations=5, record=range(1, 6))
    np.testing.assert_array_equal(result["trajectories"], np.repeat([SPENT[method]], 2, axis=0).T)
    np.testing.assert_array_equal(result["transitions"], 3 * result["trajectories"])


class Counted:
    """A problem that notes the lengths of the trajectories of each seed itself."""

    def __init__(self, problem):
        self.problem, self.lengths = problem, {}

    def __getattr__(self, name):
        return getattr(self.problem, name)

    def rollouts(self, theta, rng, n=1):
        tau = self.problem.rollouts(theta, rng, n)
        for seed, lengths in zip(rng.seeds.tolist(), tau.lengths):
            self.lengths.setdefault(seed, []).extend(lengths.tolist())
        return tau


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_the_meter_counts_trajectories_and_transitions_of_each_seed(method):
    problem, seeds = Counted(GRID), [4, 0, 9]
    result = optimise(method, problem, np.zeros(GRID.dim), Streams(seeds), iterations=7)
    lengths = [problem.lengths[seed] for seed in seeds]
    assert result["trajectories"][0].tolist() == [len(x) for x in lengths]
    assert result["transitions"][0].tolist() == [sum(x) for x in lengths]
    assert min(min(x) for x in lengths) < 8


def test_page_restarts_seed_by_seed():
    method = PAGEPG(p=0.3, N=50, batch=1)
    result = optimise(method, TWO_STATE, np.zeros(4), Streams(400), iterations=9, record=range(10))
    spent = np.diff(result["trajectories"], axis=0)
    assert (spent[0] == 50).all()
    assert set(np.unique(spent[1:])) == {1, 50}
    assert abs((spent[1:] == 50).mean() - 0.3) < 5 * (0.21 / 3200) ** 0.5  # by chance once in two million
    assert len(np.unique(spent[1:], axis=1).T) > 100


def test_a_meter_is_its_problem_otherwise():
    meter = Meter(TWO_STATE, Streams(3))
    assert (meter.dim, meter.horizon, meter.exact) == (4, 3, TWO_STATE.exact)
    theta, rng = np.zeros((3, 4)), Streams(3)
    tau = meter.rollouts(theta, rng, 2)
    np.testing.assert_array_equal(tau.states, TWO_STATE.rollouts(theta, Streams(3), 2).states)
    np.testing.assert_array_equal(meter.gradient(theta, tau), TWO_STATE.gradient(theta, tau))
    some = rng.split(np.array([False, True, True]))
    meter.rollouts(theta[1:], some, 5)
    assert meter.trajectories.tolist() == [2, 7, 7]
    assert meter.transitions.tolist() == [6, 21, 21]


# -- records ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_records_are_the_states_of_a_plain_loop(method):
    rng, theta = Streams(3), np.random.default_rng(0).normal(size=(3, 4))
    states = [method.init(TWO_STATE, theta, rng)]
    for _ in range(6):
        states.append(method.step(TWO_STATE, states[-1], rng))
    result = optimise(method, TWO_STATE, theta, Streams(3), iterations=6, record=[5, 0, 6], measure=whole)
    for i, t in enumerate((0, 5, 6)):
        np.testing.assert_array_equal(result["theta"][i], states[t].theta)
        np.testing.assert_array_equal(result["d"][i], states[t].d)
    assert result["theta"].shape == (3, 3, 4)
    assert result["trajectories"][0].tolist() == [0, 0, 0]
    assert not result["diverged"].any()


def test_the_last_value_is_recorded_by_default():
    theta = np.random.default_rng(0).normal(size=4)
    result = optimise(NPGIGT(), TWO_STATE, theta, Streams(2), iterations=4)
    assert sorted(result) == ["J", "diverged", "trajectories", "transitions"]
    assert {x.shape for x in result.values()} == {(1, 2)}
    last = optimise(NPGIGT(), TWO_STATE, theta, Streams(2), iterations=4, measure=whole)["theta"][0]
    np.testing.assert_allclose(result["J"][0], TWO_STATE.value(last), rtol=1e-15)
    before = optimise(NPGIGT(), TWO_STATE, theta, Streams(2), iterations=1, record=[0])["J"]
    np.testing.assert_allclose(before[0], TWO_STATE.value(theta), rtol=1e-15)


def test_one_vector_serves_all_seeds():
    theta = np.random.default_rng(0).normal(size=4)
    one, many = (
        optimise(NHARPG(), TWO_STATE, x, Streams(5), iterations=4, measure=whole)["theta"]
        for x in (theta, np.tile(theta, (5, 1)))
    )
    np.testing.assert_array_equal(one, many)
    assert len(np.unique(one[0], axis=0)) == 5


def test_what_is_given_is_left_as_it_was():
    theta = np.zeros((2, 4))
    optimise(NHARPG(), TWO_STATE, theta, Streams(2), iterations=3)
    optimise(PAGEPG(p=0.5), TWO_STATE, theta, Streams(2), iterations=3)
    assert not theta.any()


def test_a_bar_changes_nothing(capsys):
    plain, shown = (
        optimise(NPGIGT(), TWO_STATE, np.zeros(4), Streams(2), iterations=4, progress=progress)["J"]
        for progress in (False, True)
    )
    np.testing.assert_array_equal(plain, shown)
    assert "5/5" in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["tabular", "log-linear"])
@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_run_is_the_same_alone_and_among_others(method, policy):
    mdp, features = pg.make("dirichlet", horizon=6), np.random.default_rng(0).normal(size=(5, 3, 4))
    problem = pg.SampledProblem(mdp, pg.LogLinear(features) if policy == "log-linear" else None)
    theta = np.random.default_rng(1).normal(size=problem.dim)
    options = {"iterations": 12, "record": [3, 12], "measure": whole}
    among = optimise(method, problem, theta, Streams(range(9)), **options)
    for seeds in ([7], [3, 7], [7, 8, 0, 2, 1]):
        apart = optimise(method, problem, theta, Streams(seeds), **options)
        for name, values in apart.items():
            np.testing.assert_array_equal(values, among[name][:, seeds])
