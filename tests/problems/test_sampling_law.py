"""Trajectories are drawn from the law they should have; every test states how often chance alone would fail it."""

from collections import Counter

import numpy as np
import pytest
from every_trajectory import keys_of, law, odd
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

import pgtheory as pg
from pgtheory.mdp import alias
from pgtheory.mdp.sampling import Sampler

SMALL = {"two-state": (pg.make("two-state"), 3), "odd": (odd(), 3), "odd, undiscounted": (odd(1.0, 2), 2)}
every_mdp = pytest.mark.parametrize("name", SMALL)


def implied(p):
    """The distribution that an alias table of p draws from, and the table."""
    keep, other = np.empty(len(p)), np.empty(len(p), np.int32)
    alias.build(p, keep, other)
    q = keep.copy()
    np.add.at(q, other, 1.0 - keep)
    return q / len(p), keep, other


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 60), zeros=st.floats(0, 0.95))
@settings(max_examples=200, deadline=None)
def test_alias_tables_are_exact(seed, k, zeros):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(k, 10.0 ** rng.uniform(-2, 1)))
    p[rng.uniform(size=k) < zeros] = 0.0
    p[rng.integers(k)] += 0.01
    p /= p.sum()
    q, keep, _ = implied(p)
    np.testing.assert_allclose(q, p, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(q[p == 0], 0.0)
    assert (keep >= 0).all()
    assert (keep <= 1).all()


@pytest.mark.parametrize("p", [[1.0], [0.0, 1.0], [1.0, 0.0, 0.0], [0.25] * 4, [1e-300, 1.0], [1 / 3] * 3])
def test_alias_tables_of_special_distributions(p):
    q, *_ = implied(np.array(p))
    np.testing.assert_allclose(q, p, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(q[np.array(p) == 0], 0.0)


def test_alias_table_of_many_outcomes():
    p = np.random.default_rng(0).pareto(0.3, 200_000)
    p[::3] = 0.0
    p /= p.sum()
    q, *_ = implied(p)
    np.testing.assert_allclose(q, p, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(q[::3], 0.0)


def test_alias_draws_follow_the_table():
    """A grid of u replaces chance: of 2^16 equal cells outcome j gets its share, up to a cell a table entry."""
    p = np.array([0.1, 0.0, 0.35, 0.05, 0.5])
    _, keep, other = implied(p)
    u = (np.arange(2**16) + 0.5) / 2**16
    drawn = np.bincount([alias.draw(x, keep, other, 0, len(p)) for x in u], minlength=len(p)) / 2**16
    np.testing.assert_allclose(drawn, p, rtol=0, atol=2 * len(p) / 2**16)
    assert drawn[1] == 0
    assert alias.draw(1 - 2.0**-53, keep, other, 0, len(p)) in (0, 2, 3, 4)


def test_alias_tables_of_rows_are_those_of_each_row():
    rng = np.random.default_rng(1)
    P = np.where(rng.uniform(size=(7, 9)) < 0.5, rng.uniform(size=(7, 9)), 0.0)
    P[3] = 0.0
    P = sparse.csr_array(P)
    P.data /= np.repeat(P.sum(axis=1), np.diff(P.indptr))
    keep, other = np.empty(P.nnz), np.empty(P.nnz, np.int32)
    alias.build_rows(P.indptr, P.data, keep, other)
    for lo, hi in zip(P.indptr, P.indptr[1:]):
        if hi > lo:
            _, own, own_other = implied(P.data[lo:hi])
            np.testing.assert_array_equal(keep[lo:hi], own)
            np.testing.assert_array_equal(other[lo:hi], own_other)


# -- whole trajectories -----------------------------------------------------------------------------------------


def random_policy(mdp, seed=0):
    policy = pg.TabularSoftmax.on(mdp)
    return policy.probabilities(np.random.default_rng(seed).normal(size=policy.dim))


def assert_law(tau, chances):
    """Chi-square of whole trajectories against their law: fails by chance once in a million."""
    counts = Counter(keys_of(tau))
    assert counts.keys() <= chances.keys()  # nothing forbidden, and rewards are those of the transitions
    expected = np.array(list(chances.values())) * tau.lengths.size
    seen = np.array([counts[key] for key in chances])
    rare = expected < 5
    if rare.any():
        expected, seen = (np.append(x[~rare], x[rare].sum()) for x in (expected, seen))
    assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-6


@every_mdp
def test_law_over_seeds(name):
    mdp, H = SMALL[name]
    pi, seeds = random_policy(mdp), 60_000
    tau = Sampler(mdp).sample(np.broadcast_to(pi, (seeds, *pi.shape)).copy(), pg.Streams(seeds).keys(), 1, H)
    assert_law(tau, law(mdp, pi, H))


@every_mdp
def test_law_over_the_batch_of_one_seed(name):
    mdp, H = SMALL[name]
    pi = random_policy(mdp, 1)
    tau = Sampler(mdp).sample(pi[None], pg.Streams([123]).keys(), 60_000, H)
    assert_law(tau, law(mdp, pi, H))


def test_law_over_requests():
    mdp, H = SMALL["odd"]
    problem, rng = pg.SampledProblem(mdp, horizon=H), pg.Streams([9])
    theta = np.random.default_rng(2).normal(size=(1, problem.dim))
    counts = Counter(key for _ in range(20_000) for key in keys_of(problem.rollouts(theta, rng)))
    chances = law(mdp, problem.policy.probabilities(theta[0]), H)
    assert counts.keys() <= chances.keys()
    expected = np.array(list(chances.values())) * 20_000
    common = expected >= 5
    seen = np.array([counts[key] for key in chances])[common]
    expected = expected[common] * seen.sum() / expected[common].sum()
    assert stats.chisquare(seen, expected).pvalue > 1e-6


@pytest.mark.parametrize("seeds", [1, 500])
def test_neighbouring_trajectories_are_independent(seeds):
    """Contingency of the first actions of trajectories i and i + 1, and of their last states: 1e-6 each."""
    mdp = pg.make("two-state")
    pi = np.full((seeds, 2, 2), 0.5)
    tau = Sampler(mdp).sample(pi, pg.Streams(seeds).keys(), 40_000 // seeds, 3)
    for x in (tau.actions[..., 0], tau.states[..., -1], tau.actions[..., 1]):
        table = np.zeros((2, 2))
        np.add.at(table, (x[:, :-1].ravel(), x[:, 1:].ravel()), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-6
        if seeds > 1:
            table = np.zeros((2, 2))
            np.add.at(table, (x[:-1].ravel(), x[1:].ravel()), 1)
            assert stats.chi2_contingency(table).pvalue > 1e-6


def test_every_seed_acts_by_its_own_policy():
    """Share of action 1 of each of 20 seeds within 5 standard errors: 1e-5 for all."""
    mdp = pg.make("two-state")
    share = np.linspace(0.05, 0.95, 20)
    pi = np.stack([1 - share, share], -1)[:, None].repeat(2, axis=1)
    tau = Sampler(mdp).sample(pi, pg.Streams(20).keys(), 2000, 10)
    np.testing.assert_array_less(
        np.abs(tau.actions.mean((1, 2)) - share), 5 * (share * (1 - share) / 20_000) ** 0.5
    )


# -- ends, rewards, forbidden actions ---------------------------------------------------------------------------


def test_episodes_end_in_terminal_states_and_nothing_follows():
    mdp = odd(horizon=8)
    pi = random_policy(mdp)
    tau = Sampler(mdp).sample(pi[None], pg.Streams([0]).keys(), 5000, 8)
    after = np.arange(8) >= tau.lengths[..., None]
    for x in (tau.states, tau.actions, tau.rewards):
        assert not x[after].any()
    assert not mdp.terminal[tau.states[~after]].any()
    assert set(np.unique(tau.lengths)) == set(range(9))
    share = np.mean(tau.lengths == 0)  # started in the terminal state, with probability 0.1
    assert abs(share - 0.1) < 5 * (0.09 / 5000) ** 0.5  # 6e-7


@pytest.mark.parametrize("stored", ["dense", "sparse"])
def test_rewards_of_transitions(stored):
    mdp = odd(horizon=8)
    if stored == "sparse":
        P, rewards = (sparse.csr_array(x.reshape(12, 4)) for x in (mdp.P, mdp.transition_rewards))
        mdp = pg.FiniteMDP(P, rewards, 0.8, mdp.start, terminal=mdp.terminal, actions=mdp.actions, horizon=8)
    tau = Sampler(mdp).sample(random_policy(mdp)[None], pg.Streams([4]).keys(), 3000, 8)
    dense = odd().transition_rewards
    for i in range(3000):
        n = tau.lengths[0, i]
        s, a, r = (x[0, i, :n] for x in (tau.states, tau.actions, tau.rewards))
        np.testing.assert_array_equal(r[:-1], dense[s[:-1], a[:-1], s[1:]])
        if 0 < n < 8:
            assert r[-1] == dense[s[-1], a[-1], 3]


def test_sparse_and_dense_storage_have_the_same_law():
    mdp = pg.make("frozen-lake").replace(horizon=6)
    pi = random_policy(mdp)
    for stored in (mdp.to_dense(), mdp.to_sparse()):
        tau = Sampler(stored).sample(pi[None], pg.Streams([1]).keys(), 20_000, 6)
        visits = np.bincount(tau.states[0, tau.lengths[0] > 3, 3], minlength=mdp.n_states)
        chain, at = mdp.to_dense().induced(pi)[0], mdp.start
        for _ in range(3):
            at = at @ chain
        expected = np.where(mdp.terminal, 0.0, at)
        assert not visits[expected == 0].any()
        common = expected * visits.sum() > 5
        seen, expected = visits[common], expected[common]
        assert stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue > 1e-6


def test_actions_of_probability_zero_are_never_taken():
    """Forbidden ones, wherever they stand in the row, and permitted ones whose probability underflows."""
    mdp = odd(horizon=8)
    tau = Sampler(mdp).sample(random_policy(mdp)[None], pg.Streams([2]).keys(), 50_000, 8)
    taken = np.arange(8) < tau.lengths[..., None]
    assert mdp.actions[tau.states[taken], tau.actions[taken]].all()
    sure = pg.SampledProblem(pg.make("two-state"), horizon=8)
    tau = sure.rollouts(np.array([[900.0, 0, 0, 0], [0, 900.0, 0, 900.0]]), pg.Streams(2), 5000)
    assert not tau.actions[0][tau.states[0] == 0].any()
    assert tau.actions[1].all()
