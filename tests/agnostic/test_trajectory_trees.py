"""Trajectory trees, with a simulator and by replay, and importance sampling."""

import numpy as np
import pytest

from pgtheory.agnostic import LayeredMDP, PolicyClass
from pgtheory.agnostic.access import BudgetExhausted, Generative, LocalSimulator, Online
from pgtheory.agnostic.classes import one_active, singletons, tons
from pgtheory.agnostic.instances import worked_mdp
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.problems import context_block, random_class, random_tabular, special_walk
from pgtheory.agnostic.replay import Replay
from pgtheory.agnostic.spanning import spanning_capacity
from pgtheory.agnostic.sunflower import layer_core
from pgtheory.agnostic.trajectory_trees import trajectory_trees
from pgtheory.agnostic.uniform_exploration import core_exploration, uniform_exploration


def rng(seed=0):
    return np.random.default_rng(seed)


def comb(horizon):
    """All-0 stays in state 0; acting in layer h leads to state h + 1 for good: every deviation has its own state."""
    S = horizon + 1
    P = np.zeros((horizon - 1, S, 2, S))
    for h in range(horizon - 1):
        P[h, :, :, :] = np.eye(S)[:, None, :]
        P[h, 0, 1] = np.eye(S)[h + 1]
    rewards = rng(7).random((horizon, S, 2)) / horizon
    mdp = LayeredMDP(np.eye(S)[0], list(P), list(rewards))
    return ObservedMDP.tabular(mdp, bernoulli=False)


class TestTrees:
    @pytest.mark.parametrize("policies", [singletons(3, 3), tons(2, 3, 3), one_active(3, 3)])
    def test_values_are_unbiased(self, policies):
        for seed in range(3):
            env = random_tabular(3, 3, rng(seed))
            estimate = trajectory_trees(Generative(env, rng(seed)), policies, 20_000)
            # |policies| means of 20 000 returns in [0, 1]: five standard errors
            assert np.abs(estimate.values - env.values(policies)).max() < 5 * 0.5 / np.sqrt(20_000)

    def test_one_tree_is_exact_without_noise(self):
        for seed in range(5):
            env = random_tabular(4, 4, rng(seed), deterministic=True)
            quiet = ObservedMDP.tabular(env.mdp, bernoulli=False)
            policies = tons(2, 4, 4)
            estimate = trajectory_trees(LocalSimulator(quiet, rng()), policies, 1)
            assert estimate.values == pytest.approx(quiet.values(policies), abs=1e-12)

    @pytest.mark.parametrize(("horizon", "states", "calls"), [(6, 7, 27), (4, 5, 14)])
    def test_the_most_calls_for_singletons(self, horizon, states, calls):
        estimate = trajectory_trees(Generative(comb(horizon), rng()), singletons(states, horizon), 3)
        assert estimate.calls.tolist() == [calls] * 3
        assert calls == sum(h + 1 for h in range(1, horizon + 1))

    @pytest.mark.parametrize("policies", [singletons(4, 4), tons(2, 3, 4), one_active(3, 4)])
    def test_calls_are_at_most_the_sum_of_capacities(self, policies):
        most = sum(spanning_capacity(policies).by_layer)
        for seed in range(4):
            env = random_tabular(policies.sizes[0], 4, rng(seed), concentration=1.0)
            access = Generative(env, rng(seed))
            estimate = trajectory_trees(access, policies, 300)
            assert estimate.calls.max() <= most
            assert access.spent.steps == access.spent.restarts == estimate.calls.sum()
            assert access.spent.starts == 300

    def test_states_are_shared_whatever_leads_to_them(self):
        """Two histories, one state: one draw for both, so equal returns for policies that differ before only."""
        P = [np.tile([[[1.0, 0.0]]], (2, 2, 1)), np.tile([[[0.5, 0.5]]], (2, 2, 1))]
        mdp = LayeredMDP([1.0, 0.0], P, [np.zeros((2, 2))] * 2 + [[[1.0, 1.0], [0.0, 0.0]]])
        policies = PolicyClass([[[0, 0], [1, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]])
        estimate = trajectory_trees(Generative(ObservedMDP.tabular(mdp), rng()), policies, 100)
        assert (estimate.calls == 4).all()  # two actions, then one state and action in each layer
        assert estimate.values[0] == estimate.values[1]

    def test_fresh_labels_need_no_naming(self):
        env, policies = context_block(3, 3, 2, rng(1)), random_class(2, 3, 10, rng(2))
        estimate = trajectory_trees(LocalSimulator(env, rng(3)), policies, 20_000)
        assert np.abs(estimate.values - env.values(policies)).max() < 0.018

    def test_many_policies_are_valued_in_parts(self, monkeypatch):
        env, policies = random_tabular(3, 3, rng()), singletons(3, 3)
        whole = trajectory_trees(Generative(env, rng(1)), policies, 50)
        monkeypatch.setattr("pgtheory.agnostic.trajectory_trees.AT_ONCE", 100)
        parts = trajectory_trees(Generative(env, rng(1)), policies, 50)
        assert len(parts.calls) == len(whole.calls) == 50
        assert np.abs(parts.values - whole.values).max() < 0.5

    def test_bad_input(self):
        env, policies = random_tabular(3, 3, rng()), singletons(3, 3)
        with pytest.raises(ValueError, match="n must be at least 1"):
            trajectory_trees(Generative(env, rng()), policies, 0)
        with pytest.raises(ValueError, match="policies must be defined on"):
            trajectory_trees(Generative(env, rng()), singletons(2, 3), 1)
        with pytest.raises(AttributeError, match="'restart' is not for a learner to see"):
            trajectory_trees(Online(env, rng()), policies, 1)
        with pytest.raises(BudgetExhausted):
            trajectory_trees(Generative(env, rng(), steps=50), policies, 100)


class TestReplay:
    def test_it_is_a_local_simulator_online(self):
        policies = tons(2, 4, 4)
        for seed in range(5):
            env = ObservedMDP.tabular(
                random_tabular(4, 4, rng(seed), deterministic=True).mdp, bernoulli=False
            )
            online = Online(env, rng(seed))
            estimate = trajectory_trees(Replay(online), policies, 1)
            assert estimate.values == pytest.approx(env.values(policies), abs=1e-12)
            # one episode a call, and one to see the start
            assert online.spent.episodes == estimate.calls.sum() + 1
            assert online.spent.restarts == 0

    def test_noise_of_rewards_is_averaged(self):
        env, policies = random_tabular(4, 3, rng(3), deterministic=True), singletons(4, 3)
        estimate = trajectory_trees(Replay(Online(env, rng())), policies, 8000)
        assert np.abs(estimate.values - env.values(policies)).max() < 0.028

    def test_random_transitions_and_fresh_labels_are_noticed(self):
        for env, policies in (
            (random_tabular(4, 4, rng()), singletons(4, 4)),
            (special_walk([0, 1, 1, 0]), one_active(2, 4)),
        ):
            with pytest.raises(ValueError, match="online must be access to deterministic transitions"):
                trajectory_trees(Replay(Online(env, rng())), policies, 50)
        with pytest.raises(TypeError, match="online must be a Online"):
            Replay(env)


class TestImportanceSampling:
    def test_mean_and_variance_on_the_worked_mdp(self):
        """All-0: mean .275, variance of one weighted episode 4 (.275) - .275² = 1.024375; of a tree .199375."""
        mdp, policies = worked_mdp()
        env = ObservedMDP.tabular(mdp)
        access = Online(env, rng(1))
        means = np.array([uniform_exploration(access, policies, 100, rng(i)).values for i in range(4000)])
        assert means.mean(0) == pytest.approx(env.values(policies), abs=0.012)
        assert 100 * means[:, 0].var() == pytest.approx(1.024375, rel=0.08)
        trees = trajectory_trees(Generative(env, rng(2)), policies, 50_000)
        assert trees.returns[:, 0].var() == pytest.approx(0.199375, rel=0.02)

    def test_a_core_covers_singletons_at_less_variance(self):
        """Every trajectory of a singleton is one of all-0 or of 1 at one layer: weights at most K instead of A^H."""
        env, policies, core = random_tabular(3, 6, rng(2)), singletons(3, 6), layer_core([3] * 6)
        truth = env.values(policies)
        uniform, by_core = (
            np.array([method(seed) for seed in range(40)]) - truth
            for method in (
                lambda seed: uniform_exploration(Online(env, rng(seed)), policies, 1000, rng(seed)).values,
                lambda seed: core_exploration(Online(env, rng(seed)), policies, core, 1000, rng(seed)).values,
            )
        )
        assert np.abs(by_core.mean(0)).max() < 4 * by_core.std(0).max() / np.sqrt(40)
        assert (by_core**2).mean() < (uniform**2).mean() / 4

    def test_a_core_that_overlaps_is_weighed_by_how_many_agree(self):
        """The class as its own core: most episodes of singletons could be those of several."""
        env, policies = random_tabular(3, 4, rng(3)), singletons(3, 4)
        estimate = core_exploration(Online(env, rng(1)), policies, policies, 40_000, rng(2))
        assert np.abs(estimate.values - env.values(policies)).max() < 0.05

    def test_chunks_change_nothing(self, monkeypatch):
        env, policies = random_tabular(3, 4, rng(2)), tons(2, 3, 4)
        whole = uniform_exploration(Online(env, rng(1)), policies, 3000, rng(1)).values
        monkeypatch.setattr("pgtheory.agnostic.uniform_exploration.AT_ONCE", 1000)
        parts = uniform_exploration(Online(env, rng(1)), policies, 3000, rng(1)).values
        assert parts == pytest.approx(whole, abs=1e-12)


def test_two_tons_on_eight_states_have_a_smaller_capacity_than_on_large_layers():
    """The sum of capacities is 51 here; 62, and 22 for the largest, belong to layers that are large enough."""
    policies = tons(2, 8, 6)
    assert spanning_capacity(policies).by_layer == (2, 4, 7, 11, 13, 14)
    env = random_tabular(8, 6, rng(0))
    assert trajectory_trees(Generative(env, rng(1)), policies, 200).calls.max() <= 51
