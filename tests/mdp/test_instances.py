"""Named instances are the ones of their sources: transitions and rewards written out."""

import numpy as np
import pytest

import pgtheory as pg


def test_river_swim_by_its_current():
    mdp = pg.make("river-swim", n_states=4)
    np.testing.assert_array_equal(mdp.P[:, 0], np.eye(4)[[0, 0, 1, 2]])
    swim = [[0.4, 0.6, 0, 0], [0.05, 0.6, 0.35, 0], [0, 0.05, 0.6, 0.35], [0, 0, 0.4, 0.6]]
    np.testing.assert_allclose(mdp.P[:, 1], swim, atol=1e-15)
    np.testing.assert_array_equal(mdp.r, [[0.005, 0], [0, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(mdp.start, [1, 0, 0, 0])


def test_chain_slips_to_the_other_action():
    mdp = pg.make("chain", n_states=3, slip=0.25)
    np.testing.assert_allclose(mdp.P[1], [[0.25, 0, 0.75], [0.75, 0, 0.25]])
    np.testing.assert_allclose(mdp.P[2], [[0.25, 0, 0.75], [0.75, 0, 0.25]])
    np.testing.assert_allclose(mdp.r, [[0.5, 1.5], [0.5, 1.5], [8.0, 4.0]])


@pytest.mark.parametrize("wrong", ["reset", "dead"])
def test_combination_lock_opens_by_its_combination_only(wrong):
    mdp = pg.make("combination-lock", length=3, n_actions=2, combination=[1, 0, 1], wrong=wrong)
    assert mdp.terminal.tolist() == [False, False, False, True]
    for position, right in enumerate([1, 0, 1]):
        assert mdp.P[position, right, position + 1] == 1.0
        assert mdp.P[position, 1 - right, 0 if wrong == "reset" else 3] == 1.0
    assert np.argwhere(mdp.r).tolist() == [[2, 1]]
    assert pg.solve(mdp).policy[:3].tolist() == [1, 0, 1]


def test_gridworld_moves_slips_drifts_and_ends():
    layout = ["S.G", ".#X"]  # states 0 1 2 / 3 wall 4
    mdp = pg.make("gridworld", layout=layout, slip=0.2, step_reward=-0.1, exits={"G": 1.0, "X": -2.0})
    assert mdp.terminal.tolist() == [False, False, True, False, True]
    np.testing.assert_allclose(mdp.P[0, 1], [0.1, 0.8, 0, 0.1, 0])  # right; slips up (stays) or down
    np.testing.assert_allclose(mdp.P[1, 2], [0.1, 0.8, 0.1, 0, 0])  # down into the wall; slips left or right
    np.testing.assert_allclose(mdp.r[1], [0.0, 0.7, 0.0, -0.1], atol=1e-15)
    windy = pg.make("gridworld", layout=["S.", "..", ".G"], slip=0.0, wind=[2, 0])
    np.testing.assert_array_equal(windy.P[4, 1], np.eye(6)[1])  # carried up two cells from (2, 1)


def test_cliff_sends_back_to_the_start():
    mdp = pg.make("cliff", length=4, height=2)  # 0 1 2 3 / S # # G
    start = int(np.argmax(mdp.start))
    for state, action in [(1, 2), (2, 2), (start, 1)]:
        assert mdp.P[state, action, start] == 1.0
        assert mdp.r[state, action] == -100.0
    assert (mdp.r == -100.0).sum() == 3


@pytest.mark.parametrize("sparse", [False, True])
def test_garnet_has_the_branching_asked_for(sparse):
    mdp = pg.make("garnet", n_states=30, n_actions=3, branching=4, sparse=sparse, reward_sparsity=0.5, seed=5)
    assert mdp.is_sparse == sparse
    P = mdp.to_dense().P
    assert ((P > 0).sum(-1) == 4).all()
    assert 0.3 < (mdp.r == 0).mean() < 0.7
    again = pg.make("garnet", n_states=30, n_actions=3, branching=4, reward_sparsity=0.5, seed=5)
    np.testing.assert_array_equal(again.P, P)
    assert (pg.make("garnet", n_states=30, branching=30, n_actions=1).P > 0).all()


def test_bandit_is_one_pull():
    mdp = pg.make("bandit", rewards=[0.3, -0.7])
    assert pg.mdp.expected_return(mdp, np.array([[0.25, 0.75], [0.5, 0.5]])) == pytest.approx(-0.45)
    np.testing.assert_allclose(pg.solve(mdp).V, [0.3, 0.0], atol=1e-8)
