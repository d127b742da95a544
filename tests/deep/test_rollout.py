"""Rollouts of scripted environments whose every reward and value is known."""

import itertools

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from pgtheory.deep import Agent, Network, open_environments
from pgtheory.deep.actor_critic import ActorCritic
from pgtheory.deep.heads import Categorical, Gaussian
from pgtheory.deep.rollout import Diverged, Episodes, collect
from pgtheory.objectives.credit import GAE

torch.set_num_threads(1)
DISCOUNT, LAM = 0.9, 0.8


class Counter(gymnasium.Env):
    """Shows ``first`` + steps of the episode, pays its tenth squared, and ends as the script says."""

    observation_space = Box(0, np.inf, (1,), np.float32)

    def __init__(self, first, script, continuous=False):
        self.first, self.script, self.episode = first, script, -1
        self.action_space = Box(-1, 1, (2,), np.float32) if continuous else Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t = self.episode + 1, 0
        return self._seen(), {}

    def step(self, action):
        length, how = self.script[self.episode % len(self.script)]
        self.t += 1
        over = self.t == length
        return self._seen(), self._reward(), over and "terminated" in how, over and "truncated" in how, {}

    def _seen(self):
        return np.array([self.first + self.t], np.float32)

    def _reward(self):
        return float((self.first + self.t) / 10) ** 2


SCRIPTS = [
    (1, [(3, "terminated"), (2, "truncated")]),
    (20, [(4, "truncated")]),
    (40, [(5, "terminated and truncated"), (1, "truncated"), (1, "terminated")]),
    (60, [(1000, "")]),
]


def opened(scripts, continuous=False):
    made = itertools.chain(scripts[:1], scripts)  # the first is made to look at its spaces
    return open_environments(
        lambda: Counter(*next(made), continuous), len(scripts), seed=0, workers=1, backend="local"
    )


def networks(head=None):
    """Values are 2 s + 0.5 for s > 0."""
    nets = ActorCritic(1, head or Categorical(3), Network((1,), "relu"))
    pieces = nets.split(theta := nets.initial(np.random.default_rng(0)))
    for piece, value in zip(pieces[5:], (1.0, 0.0, 2.0, 0.5)):
        piece[:] = value
    return nets, theta


def collected(scripts, n_steps, rounds=1, shift=None, scale=None):
    nets, theta = networks()
    episodes, rng = Episodes(len(scripts)), np.random.default_rng(0)
    with opened(scripts) as worlds:
        observations, rollouts = worlds.reset(), []
        for _ in range(rounds):
            agent = Agent(nets, theta, shift, scale)
            rollout, observations = collect(worlds, agent, observations, n_steps, rng, episodes)
            rollouts.append(rollout)
    return nets, nets.split(theta), rollouts, episodes


def by_hand(first, script, n_steps):
    """Advantages and targets of one environment's first steps, by the definition of GAE."""
    value = lambda s: 2 * s + 0.5
    steps, episode, t = [], 0, 0
    for _ in range(n_steps):
        s, t = first + t, t + 1
        length, how = script[episode % len(script)]
        over = t == length
        follows = 0.0 if over and "terminated" in how else value(first + t)
        steps.append((((first + t) / 10) ** 2 + DISCOUNT * follows - value(s), over, value(s)))
        if over:
            episode, t = episode + 1, 0
    advantages, after = [], 0.0
    for delta, over, _ in reversed(steps):
        after = delta + DISCOUNT * LAM * (0.0 if over else after)
        advantages.insert(0, after)
    return advantages, [A + step[2] for A, step in zip(advantages, steps)]


@pytest.mark.parametrize("n_steps", [1, 4, 7, 12])
def test_credit_of_scripted_episodes(n_steps):
    nets, pieces, (rollout,), _ = collected(SCRIPTS, n_steps)
    credit = GAE(DISCOUNT, LAM)(rollout.steps(nets, pieces))
    for i, script in enumerate(SCRIPTS):
        advantages, targets = by_hand(*script, n_steps)
        torch.testing.assert_close(credit.advantage[:, i], torch.tensor(advantages), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(credit.target[:, i], torch.tensor(targets), rtol=1e-5, atol=1e-4)


def test_what_a_rollout_holds():
    _, _, (rollout,), _ = collected(SCRIPTS, 6)
    np.testing.assert_array_equal(rollout.observations[:, 0, 0], [1, 2, 3, 1, 2, 1])
    np.testing.assert_array_equal(rollout.observations[:, 2, 0], [40, 41, 42, 43, 44, 40])
    np.testing.assert_array_equal(rollout.terminated[:, 0], [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(rollout.truncated[:, 0], [0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(rollout.terminated[:, 2], [0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(rollout.truncated[:, 2], [0, 0, 0, 0, 0, 1])  # both count as terminated
    np.testing.assert_array_equal(rollout.cut[:, 0], [24, 3, 41])  # in the order of the steps
    np.testing.assert_array_equal(rollout.last[:, 0], [2, 22, 40, 66])
    assert rollout.raw is rollout.observations


def test_together_is_as_one_by_one():
    nets, pieces, (together,), _ = collected(SCRIPTS, 9)
    steps = together.steps(nets, pieces)
    for i, script in enumerate(SCRIPTS):
        _, _, (alone,), _ = collected([script], 9)
        np.testing.assert_array_equal(alone.rewards[:, 0], together.rewards[:, i])
        one = alone.steps(nets, pieces)
        for name in ("rewards", "values", "next_values", "terminated", "truncated"):
            torch.testing.assert_close(getattr(one, name)[:, 0], getattr(steps, name)[:, i])


def test_rollouts_go_on_where_the_last_one_stopped():
    _, _, pieces_of, _ = collected(SCRIPTS, 3, rounds=4)
    _, _, (whole,), _ = collected(SCRIPTS, 12)
    for name in ("observations", "rewards", "terminated", "truncated"):
        joined = np.concatenate([getattr(rollout, name) for rollout in pieces_of])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    for earlier, later in itertools.pairwise(pieces_of):
        np.testing.assert_array_equal(earlier.last, later.observations[0])


def test_normalised_observations_and_the_raw_ones():
    shift, scale = np.array([10.0]), np.array([0.1])
    _, _, (rollout,), _ = collected(SCRIPTS, 6, shift=shift, scale=scale)
    _, _, (plain,), _ = collected(SCRIPTS, 6)
    np.testing.assert_array_equal(rollout.raw, plain.observations)
    for seen, raw in (
        (rollout.observations, plain.observations),
        (rollout.last, plain.last),
        (rollout.cut, plain.cut),
    ):
        np.testing.assert_allclose(seen, (raw - 10) * 0.1, rtol=1e-6, atol=1e-6)


def test_episodes_are_counted_across_rollouts():
    _, _, _, episodes = collected(SCRIPTS[:2], 2, rounds=4)
    pay = lambda first, length: sum(((first + t) / 10) ** 2 for t in range(1, length + 1))
    expected = [(pay(1, 3), 3), (pay(20, 4), 4), (pay(1, 2), 2), (pay(1, 3), 3), (pay(20, 4), 4)]
    assert [n for _, n in episodes.recent] == [n for _, n in expected]
    np.testing.assert_allclose([r for r, _ in episodes.recent], [r for r, _ in expected])
    summary = episodes.summary()
    assert summary["charts/return"] == pytest.approx(np.mean([r for r, _ in expected]))
    assert summary["charts/length"] == pytest.approx(16 / 5)


def test_episodes_forget_old_ones_and_those_under_way():
    episodes = Episodes(1, window=3)
    assert np.isnan(episodes.summary()["charts/return"])
    episodes.add(np.array([99.0]), np.array([False]))
    episodes.restart()
    for k in range(5):
        episodes.add(np.array([float(k)]), np.array([True]))
    assert episodes.recent == [(2.0, 1), (3.0, 1), (4.0, 1)]


@pytest.mark.parametrize("continuous", [False, True])
def test_actions_are_those_that_were_taken(continuous):
    head = Gaussian(2, log_std=1.0) if continuous else Categorical(3)
    nets, theta = networks(None if not continuous else head)
    if continuous:
        nets = ActorCritic(1, head, Network((1,), "relu"))
        theta = nets.initial(np.random.default_rng(0))
    with opened(SCRIPTS, continuous) as worlds:
        taken, step = [], worlds.step
        worlds.step = lambda actions: (taken.append(np.array(actions)), step(actions))[1]
        agent = Agent(nets, theta)
        rollout, _ = collect(worlds, agent, worlds.reset(), 5, np.random.default_rng(3), Episodes(4))
    noise = head.noise(np.random.default_rng(3), (5, 4))
    for t in range(5):
        np.testing.assert_array_equal(rollout.actions[t], agent.choose(rollout.observations[t], noise[t]))
        np.testing.assert_array_equal(taken[t].reshape(4, -1), rollout.actions[t])
    if continuous:
        assert np.abs(rollout.actions).max() > 1  # clipped by the environments, not here


def test_actions_that_are_not_finite_are_a_divergence():
    nets = ActorCritic(1, Gaussian(2), Network((1,), "relu"))
    theta = nets.initial(np.random.default_rng(0))
    theta[nets.actor_dim - 1] = 1e6  # finite, its exponential is not
    with opened(SCRIPTS, continuous=True) as worlds, np.errstate(over="ignore"), pytest.raises(Diverged):
        collect(worlds, Agent(nets, theta), worlds.reset(), 5, np.random.default_rng(0), Episodes(4))
