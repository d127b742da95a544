"""Gymnasium in and out."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import pgtheory as pg
from pgtheory import environments
from pgtheory.mdp import FiniteMDPEnv, from_gymnasium


@pytest.mark.parametrize("name", pg.mdp.names())
def test_every_named_instance_passes_gymnasiums_checker(name):
    env = gymnasium.make(environments.environment_id(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_the_list_registered_at_import_is_the_registry():
    assert list(environments.SHIPPED) == pg.mdp.names()


def test_make_works_after_the_import_or_with_the_module_prefix():
    for code in (
        "import pgtheory, gymnasium; gymnasium.make('pgtheory/RiverSwim-v0').reset()",
        "import gymnasium; gymnasium.make('pgtheory:pgtheory/RiverSwim-v0', n_states=9).reset()",
    ):
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_toy_text_tables_become_the_exact_mdp():
    lake = from_gymnasium("FrozenLake-v1", discount=0.99)
    assert lake.terminal.sum() == 5  # four holes and the goal
    # Value of the slippery 4x4 lake at discount 0.99, as in every textbook run of value iteration
    assert pytest.approx(0.542026, abs=1e-6) == pg.solve(lake).J
    cliff = from_gymnasium("CliffWalking-v1", discount=0.95)
    assert pytest.approx(pg.solve(pg.make("cliff", discount=0.95)).J, abs=1e-7) == pg.solve(cliff).J
    taxi = pg.make("taxi")
    assert taxi.is_sparse
    assert taxi.terminal.sum() == 4
    assert taxi.n_states == 500


def test_taxi_optimum_matches_the_undiscounted_shortest_path():
    """Mean return of an optimal taxi over its 300 starts: 7.93, the score an optimal policy gets."""
    taxi = pg.make("taxi").replace(discount=1.0, horizon=60)
    assert pytest.approx(7.93, abs=0.005) == pg.solve(taxi).J


def test_done_that_depends_on_the_transition_gets_its_own_terminal_state():
    class Odd(gymnasium.Env):
        observation_space = gymnasium.spaces.Discrete(2)
        action_space = gymnasium.spaces.Discrete(2)
        initial_state_distrib = np.array([1.0, 0.0])
        # state 1 is entered with done by action 1 only
        P = {  # noqa: RUF012
            0: {0: [(1.0, 1, 0.0, False)], 1: [(1.0, 1, 5.0, True)]},
            1: {0: [(0.5, 0, 1.0, False), (0.5, 1, 3.0, False)], 1: [(1.0, 0, 0.0, False)]},
        }

    mdp = from_gymnasium(Odd(), discount=0.5)
    assert mdp.n_states == 3
    assert mdp.terminal.tolist() == [False, False, True]
    np.testing.assert_allclose(mdp.r, [[0, 5], [2, 0], [0, 0]])
    np.testing.assert_allclose(mdp.P[0, 1], [0, 0, 1])
    assert mdp.transition_rewards[1, 0, 1] == 3.0


@pytest.mark.parametrize("name", ["river-swim", "frozen-lake", "taxi"])
def test_simulated_returns_match_the_exact_value(name):
    """Monte Carlo return of the uniform policy within 4.5 standard errors (false alarm below 1e-5 each)."""
    mdp = pg.make(name).replace(discount=0.8)
    env = FiniteMDPEnv(mdp)
    rng = np.random.default_rng(0)
    returns = []
    for episode in range(400):
        env.reset(seed=episode)
        total, weight, done = 0.0, 1.0, False
        while not done and weight > 1e-5:
            _, reward, done, _, _ = env.step(int(rng.integers(mdp.n_actions)))
            total, weight = total + weight * reward, weight * mdp.discount
        returns.append(total)
    exact = pg.mdp.expected_return(mdp, np.full((mdp.n_states, mdp.n_actions), 1 / mdp.n_actions))
    assert abs(np.mean(returns) - exact) < 4.5 * np.std(returns) / 20 + 1e-3


def test_environment_round_trip_through_its_interface():
    env = gymnasium.make("pgtheory/TwoState-v0", horizon=3)
    env.reset(seed=1)
    flags = [env.step(0)[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]
    masked = FiniteMDPEnv(
        pg.FiniteMDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), 0.9, actions=[[1, 0], [1, 1]])
    )
    state, info = masked.reset(seed=0, options={"state": 0})
    assert state == 0
    assert info["action_mask"].tolist() == [1, 0]
    with pytest.raises(ValueError, match="permitted in state 0"):
        masked.step(1)
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        FiniteMDPEnv("chain").step(0)


def test_text_rendering_shows_where_we_are():
    env = FiniteMDPEnv("gridworld", render_mode="ansi")
    env.reset(seed=0)
    assert env.render().startswith("t=0 state=0\n@..#....")
