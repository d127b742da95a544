"""PSDP: exactly, from episodes, and in thousands of runs at once."""

import numpy as np
import pytest

from pgtheory.agnostic import LayeredMDP, PolicyClass
from pgtheory.agnostic.access import BudgetExhausted, HybridResets, MuReset, Online
from pgtheory.agnostic.bounds import psdp_amplification, psdp_lock_success
from pgtheory.agnostic.classes import open_loop, singletons, tabular
from pgtheory.agnostic.instances import (
    balanced_lock,
    doubling_gaps,
    error_amplifier,
    star_or_bad,
    two_latent_lock,
    worked_mdp,
)
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.problems import random_tabular
from pgtheory.agnostic.psdp import exact_psdp, psdp
from pgtheory.agnostic.psdp_runs import psdp_runs


def rng(seed=0):
    return np.random.default_rng(seed)


def with_uniform_resets(env):
    mdp = env.mdp
    return ObservedMDP.tabular(mdp, resets=[np.full(s, 1 / s) for s in mdp.sizes])


@pytest.mark.parametrize("seed", range(25))
def test_performance_difference_and_the_concentrability_bound(seed):
    """The identity to 1e-9; its right side within C_conc times the Bellman residuals."""
    env = with_uniform_resets(random_tabular(3, 3, rng(seed)))
    policies = singletons(3, 3)
    chosen = exact_psdp(env, policies).policy
    mdp, mine = env.mdp, env.mdp.evaluate(chosen.actions)
    for i in range(len(policies)):
        other = mdp.evaluate(policies.policy(i))
        gap = other.value[0] - mine.value[0]
        rows = [np.arange(3)] * 3
        gains = [
            Q[0][r, x[0]] - Q[0][r, y[0]]
            for Q, r, x, y in zip(mine.Q, rows, policies.policy(i), chosen.actions)
        ]
        assert gap == pytest.approx(sum(d[0] @ g for d, g in zip(other.occupancy, gains)), abs=1e-9)
        residuals = [Q[0].max(-1) - Q[0][r, y[0]] for Q, r, y in zip(mine.Q, rows, chosen.actions)]
        conc = max((d[0] / mu).max() for d, mu in zip(other.occupancy, env.resets))
        assert gap <= conc * sum(mu @ g for mu, g in zip(env.resets, residuals)) + 1e-12


def test_with_a_complete_class_it_is_optimal():
    for seed in range(5):
        env = with_uniform_resets(random_tabular(2, 3, rng(seed)))
        V, _ = env.mdp.optimal()
        result = exact_psdp(env, tabular(2, 3))
        assert env.values(result.policy)[0] == pytest.approx(V[0] @ env.mdp.start, abs=1e-12)


def test_it_may_leave_the_class():
    """On W each layer takes a singleton of its own: 1 at s1 in the first, 1 at s0 in the second."""
    mdp, policies = worked_mdp()
    env = with_uniform_resets(ObservedMDP.tabular(mdp))
    result = exact_psdp(env, policies)
    assert result.scores[1] == pytest.approx([0.35, 0.35, 0.35, 0.7, 0.15])
    assert result.scores[0] == pytest.approx([0.75, 0.65, 0.85, 0.75, 0.75])
    assert result.chosen.tolist() == [2, 3]
    assert policies.index([x[0] for x in result.policy.actions]) is None
    assert env.values(result.policy) == pytest.approx([0.8])


def test_scores_from_episodes_estimate_the_exact_ones():
    mdp, policies = worked_mdp()
    env = with_uniform_resets(ObservedMDP.tabular(mdp))
    exact, sampled = exact_psdp(env, policies), psdp(MuReset(env, rng(1)), policies, 100_000, rng(2))
    assert sampled.chosen.tolist() == exact.chosen.tolist() == [2, 3]
    assert np.abs(sampled.scores - exact.scores).max() < 0.02


class TestLocks:
    @pytest.mark.parametrize("horizon", [2, 4, 7])
    def test_exactly(self, horizon):
        secret = rng(horizon).integers(2, size=horizon)
        policies = open_loop(1, horizon)
        result = exact_psdp(two_latent_lock(secret), policies)
        assert [x[0, 0] for x in result.policy.actions] == secret.tolist()
        blind = exact_psdp(balanced_lock(secret), policies)
        for h in range(1, horizon):
            assert blind.scores[h] == pytest.approx(np.full(len(policies), 0.5), abs=1e-15)

    @pytest.mark.parametrize("horizon", [4, 10])
    def test_from_episodes(self, horizon):
        for seed in range(5):
            lock = two_latent_lock(rng(seed).integers(2, size=horizon))
            access = MuReset(lock, rng(seed))
            result = psdp(access, open_loop(1, horizon), 60, rng(seed + 1))
            assert lock.values(result.policy)[0] == 1.0
            assert result.episodes == access.spent.resets == access.spent.episodes == 60 * horizon

    @pytest.mark.parametrize(("good", "n", "horizon"), [(0.05, 100, 10), (0.2, 10, 5), (0.5, 3, 3)])
    def test_runs_follow_the_closed_form(self, good, n, horizon):
        secret = rng(1).integers(2, size=horizon)
        lock = two_latent_lock(secret, good=good)
        values, _ = psdp_runs(lock, open_loop(1, horizon), n, 4000, rng(2))
        p = psdp_lock_success(good, n, horizon)
        assert set(values) <= {0.0, 1.0}
        assert values.mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 4000))

    def test_resets_alone_are_blind_on_the_balanced_lock(self):
        horizon = 4
        lock = balanced_lock([0, 1, 1, 0])
        values, _ = psdp_runs(lock, open_loop(1, horizon), 200, 8000, rng(3))
        assert (values == 1).mean() == pytest.approx(2.0 ** -(horizon - 1), abs=0.015)


class TestAmplifier:
    @pytest.mark.parametrize("horizon", range(2, 10))
    def test_an_oracle_error_doubles_in_every_layer(self, horizon):
        error = 1e-3
        env, policies = error_amplifier(doubling_gaps(horizon, error)), star_or_bad(horizon)
        slack = [0.0] * (horizon - 1) + [error]
        best = env.values(policies).max()
        assert best == 1.0
        lost = best - env.values(exact_psdp(env, policies, slack=slack).policy)[0]
        assert lost == pytest.approx(psdp_amplification(error, horizon), rel=1e-4)
        assert env.values(exact_psdp(env, policies).policy)[0] == 1.0

    def test_runs_and_episodes_have_one_law(self):
        env, policies = error_amplifier(0.5 * 1.5 ** -np.arange(4)), star_or_bad(4)
        _, chosen = psdp_runs(env, policies, 20, 20_000, rng(1))
        played = np.array(
            [psdp(MuReset(env, rng(i)), policies, 20, rng(i + 10**6)).chosen for i in range(1500)]
        )
        weights = 1 << np.arange(4)
        counts = [np.bincount(c @ weights, minlength=16) / len(c) for c in (chosen, played)]
        assert np.abs(counts[0] - counts[1]).max() < 4 * np.sqrt(0.25 / 1500)

    def test_ties_are_tossed(self):
        env, policies = error_amplifier([0.0]), star_or_bad(1)  # both pay 1 in k and o
        _, chosen = psdp_runs(env, policies, 1, 4000, rng(4))
        assert 0.45 < chosen.mean() < 0.55
        flat = ObservedMDP.blind(LayeredMDP([1.0], [], [[[0.0, 0.0]]]), resets=[[1.0]])
        nothing = LayeredMDP([1.0], [[[[1.0], [1.0]]]], [[[0.0, 0.0]]] * 2)
        # two of the three policies play 0 in the last layer
        uneven = PolicyClass([[[0], [1], [0]], [[0], [0], [1]]])
        _, chosen = psdp_runs(ObservedMDP.blind(nothing, resets=[[1.0]] * 2), uneven, 1, 4000, rng(5))
        assert (uneven.actions[1][chosen[:, 1], 0] == 0).mean() == pytest.approx(2 / 3, abs=0.03)
        tossed = [psdp(MuReset(flat, rng(i)), policies, 5, rng(i)).chosen[0] for i in range(400)]
        assert 0.4 < np.mean(tossed) < 0.6


def test_same_seed_same_answer():
    env, policies = with_uniform_resets(random_tabular(3, 3, rng(1))), singletons(3, 3)
    first, second = (psdp(MuReset(env, rng(2)), policies, 50, rng(3)) for _ in range(2))
    assert (first.scores == second.scores).all()
    assert (first.chosen == second.chosen).all()


def test_bad_input():
    lock, policies = two_latent_lock([0, 1]), open_loop(1, 2)
    with pytest.raises(TypeError, match="access must be a MuReset"):
        psdp(Online(lock, rng()), policies, 10, rng())
    with pytest.raises(ValueError, match="n must be at least 1"):
        psdp(MuReset(lock, rng()), policies, 0, rng())
    with pytest.raises(BudgetExhausted, match="10 more episodes asked for, 5 of 15 are left"):
        psdp(HybridResets(lock, rng(), episodes=15), policies, 10, rng())
    tab = random_tabular(2, 2, rng())
    for method in (exact_psdp, lambda e, p: psdp_runs(e, p, 1, 1, rng())):
        with pytest.raises(ValueError, match="env must have reset distributions"):
            method(tab, singletons(2, 2))
    with pytest.raises(ValueError, match="slack must be non-negative"):
        exact_psdp(lock, policies, slack=[0.0, -1.0])
    twice = LayeredMDP([1.0], [[[[1.0], [1.0]]]], [[[0.5, 0.5]], [[0.5, 0.5]]])
    env = ObservedMDP.blind(twice, resets=[[1.0], [1.0]])
    with pytest.raises(ValueError, match="an episode pays at most one"):
        psdp_runs(env, PolicyClass([[[0]], [[0]]]), 1, 1, rng())
