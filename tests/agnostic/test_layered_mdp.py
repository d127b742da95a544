"""Exact dynamic programming on layered MDPs against listed trajectories, and the door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layered_examples import by_trajectories, random_mdp, worked_mdp

from pgtheory.agnostic import LayeredMDP, from_finite, to_finite
from pgtheory.mdp import FiniteMDP, evaluate, unroll
from pgtheory.mdp.instances import make

sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4)
seeds = st.integers(0, 2**32 - 1)


@given(sizes, st.integers(1, 3), seeds)
@settings(max_examples=40, deadline=None)
def test_values_and_visits_are_those_of_listed_trajectories(sizes, A, seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, sizes, A)
    policies = [rng.integers(A, size=(5, S)) for S in sizes]
    exact = mdp.evaluate(policies)
    for i in range(5):
        value, d = by_trajectories(mdp, [x[i] for x in policies])
        assert exact.value[i] == pytest.approx(value, abs=1e-12)
        for h in range(len(sizes)):
            np.testing.assert_allclose(exact.occupancy[h][i], d[h], atol=1e-12)
    np.testing.assert_allclose(mdp.values(policies), exact.value, atol=1e-12)


@given(sizes, st.integers(1, 3), seeds)
@settings(max_examples=40, deadline=None)
def test_stochastic_policies_are_mixtures_and_agree_with_the_finite_mdp(sizes, A, seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, sizes, A)
    pi = [rng.dirichlet(np.ones(A), size=(3, S)) for S in sizes]
    exact = mdp.evaluate(pi)
    flat = to_finite(mdp)
    stationary = np.concatenate([*pi, np.full((3, 1, A), 1 / A)], 1)
    reference = evaluate(flat, stationary)
    np.testing.assert_allclose(exact.value, reference.J, atol=1e-12)
    first = np.cumsum([0, *sizes])
    for h, S in enumerate(sizes):
        states = slice(first[h], first[h] + S)
        np.testing.assert_allclose(exact.Q[h], reference.Q_slices[:, h, states], atol=1e-12)
        np.testing.assert_allclose(exact.occupancy[h], reference.m_slices[:, h, states], atol=1e-12)


@given(sizes, seeds)
@settings(max_examples=40, deadline=None)
def test_the_optimum_is_that_of_the_best_table(sizes, seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, sizes)
    V, Q = mdp.optimal()
    greedy = [q.argmax(-1)[None] for q in Q]
    assert mdp.values(greedy)[0] == pytest.approx(V[0] @ mdp.start, abs=1e-12)
    others = [rng.integers(2, size=(200, S)) for S in sizes]
    assert mdp.values(others).max() <= V[0] @ mdp.start + 1e-12


def test_to_finite_and_back():
    rng = np.random.default_rng(0)
    for sizes in ((1,), (2, 3), (3, 1, 4)):
        mdp = random_mdp(rng, sizes, 3)
        back = from_finite(to_finite(mdp))
        for mine, theirs in zip(
            (mdp.start, *mdp.transitions, *mdp.rewards), (back.start, *back.transitions, *back.rewards)
        ):
            np.testing.assert_array_equal(mine, theirs)
    chain = make("chain", discount=0.9).replace(discount=1.0, horizon=3)
    unrolled = from_finite(unroll(chain))
    assert unrolled.sizes == (chain.n_states,) * 3
    uniform = [np.full((1, chain.n_states, chain.n_actions), 1 / chain.n_actions)] * 3
    assert unrolled.values(uniform)[0] == pytest.approx(float(evaluate(chain, uniform[0][0]).J))


def test_visits_of_restarts_add_up():
    mdp = random_mdp(np.random.default_rng(1), (2, 3, 2))
    mu = [np.full(S, 1 / S) for S in mdp.sizes]
    policy = [np.zeros((1, S), int) for S in mdp.sizes]
    together = mdp.occupancy(policy, [m / 3 for m in mu])
    assert [float(x.sum()) for x in together] == pytest.approx([1 / 3, 2 / 3, 1.0])
    alone = mdp.occupancy(policy, [mu[0] / 3, np.zeros(3), np.zeros(2)])
    late = mdp.occupancy(policy, [np.zeros(2), mu[1] / 3, mu[2] / 3])
    for both, one, other in zip(together, alone, late):
        np.testing.assert_allclose(both, one + other)


def test_determinism_is_noticed_and_arrays_are_kept():
    mdp = LayeredMDP([1, 0], [np.eye(2)[[[0, 1], [1, 1]]]], [np.zeros((2, 2))] * 2)
    assert mdp.is_deterministic
    assert not worked_mdp().is_deterministic
    with pytest.raises(ValueError, match="read-only"):
        mdp.start[0] = 2
    assert repr(worked_mdp()) == "LayeredMDP(W: H=2, S=2, A=2)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.4], [], [np.zeros((2, 2))]), "start must sum to one"),
        (([1.0], [], []), "at least one layer"),
        (([1.0], [], [np.zeros((1, 2))] * 2), "transitions must hold H-1 = 1 arrays"),
        (([1.0], [[[[0.5], [0.5]]]], [np.zeros((1, 2))] * 2), r"rows of transitions\[0\] must sum to one"),
        (([1.0], [np.ones((1, 2, 2)) / 2], [np.zeros((1, 2))] * 2), r"transitions\[0\] must have shape"),
        (([1.0], [], [np.full((1, 2), np.nan)]), r"rewards\[0\] must be finite"),
        (([1.0], [np.ones((1, 2, 1))], [np.zeros((1, 2)), np.zeros((1, 3))]), "2 actions of the first layer"),
    ],
)
def test_the_door_says_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        LayeredMDP(*arguments)


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ([np.zeros((1, 2), int)], "must hold H = 2 arrays"),
        ([np.zeros((1, 2), int), np.zeros((1, 3), int)], r"policies\[1\] must have shape"),
        ([np.zeros((1, 2), int), np.full((1, 2), 2)], "integers 0..1"),
        ([np.zeros((1, 2), int), np.zeros((2, 2), int)], "equally many"),
        ([np.zeros((1, 2), int), np.full((1, 2, 2), 0.4)], "sum to one"),
        ([np.zeros((1, 2)), np.zeros((1, 2))], "must hold actions"),
    ],
)
def test_policies_that_do_not_fit_are_refused(policies, message):
    with pytest.raises(ValueError, match=message):
        worked_mdp().evaluate(policies)


def test_what_is_not_layered_is_refused():
    end = [False, False, True]
    cycle = FiniteMDP(
        [[[0, 1, 0]], [[1, 0, 0]], [[0, 0, 1]]], np.zeros((3, 1)), 1.0, [1, 0, 0], terminal=end, horizon=3
    )
    early = FiniteMDP(
        [[[0, 0.5, 0.5]], [[0, 0, 1]], [[0, 0, 1]]], np.zeros((3, 1)), 1.0, [1, 0, 0], terminal=end, horizon=2
    )
    late = FiniteMDP(
        [[[0, 1, 0]], [[0, 0, 1]], [[0, 0, 1]]], np.zeros((3, 1)), 1.0, [0, 1, 0], terminal=end, horizon=2
    )
    for mdp, message in (
        (cycle, "never ends"),
        (early, "different layers"),
        (late, "start in its first layer"),
    ):
        with pytest.raises(ValueError, match=message):
            from_finite(mdp)
    with pytest.raises(ValueError, match="undiscounted"):
        from_finite(make("chain"))
    with pytest.raises(TypeError, match="must be a FiniteMDP"):
        from_finite("chain")
