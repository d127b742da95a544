"""Hybrid actor-critic with a horizon, and the tabular lock it is shown on."""

import math

import numpy as np
import pytest

import pgtheory as pg
from pgtheory.hybrid import Counts, LayeredHAC, Layers, tabular_lock
from pgtheory.hybrid.layered_hac import sweep
from pgtheory.hybrid.lock_tabular import behaviour, collect, success_of_return, success_probability
from pgtheory.mdp import backward_induction, evaluate, layered, unroll

OPEN = 0.525  # the return at which the lock opens every other time


def random_layers(rng, H=4, n=3, A=2, **options):
    P = [rng.dirichlet(np.ones(n), (n, A)) for _ in range(H - 1)]
    return Layers(layered(P, list(rng.random((H, n, A))), rng.dirichlet(np.ones(n)), discount=0.9), **options)


def random_policies(rng, layers, seeds):
    H, n, A = layers.shape
    return rng.dirichlet(np.ones(A), (seeds, H, n))


# -- the lock -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anti_shaped", ["on-failure", "at-end"])
def test_the_lock_is_the_one_of_its_source(anti_shaped):
    lock = tabular_lock(6, seed=3, anti_shaped=anti_shaped)
    uniform = lock.uniform(1)
    assert success_probability(lock, uniform)[0] == pytest.approx(1e-6)
    Q = lock.values(uniform)[0]
    for h in range(6):
        for s in range(2):
            right = int(Q[h, s].argmax())
            others = np.delete(Q[h, s], right)
            np.testing.assert_allclose(Q[h, s, right] - others, 0.95 * 10.0 ** -(5 - h), rtol=1e-9)
        np.testing.assert_allclose(Q[h, 2], 0.05 * (anti_shaped == "at-end"), atol=1e-15)
    H, _, A = lock.shape
    rate = success_probability(lock, behaviour(lock))
    assert rate == pytest.approx((1 - 1 / H + 1 / (H * A)) ** H)
    assert success_probability(lock, behaviour(lock, 0.0)) == pytest.approx(1)


def test_the_locks_transitions_written_out():
    mdp = pg.make("diabolical-lock", horizon=2, n_actions=3, secret=[[1, 2], [0, 1]])
    np.testing.assert_array_equal(mdp.start[:3], [0.5, 0.5, 0])
    np.testing.assert_array_equal(mdp.P[0, 1, 3:6], [0.5, 0.5, 0])
    np.testing.assert_array_equal(mdp.P[0, 0, 3:6], [0, 0, 1])
    np.testing.assert_array_equal(mdp.P[1, 2, 3:6], [0.5, 0.5, 0])
    np.testing.assert_array_equal(mdp.P[2, :, 5], 1)
    np.testing.assert_allclose(mdp.r[:6].T[0], [0.05, 0.05, 0, 1, 0.05, 0])
    late = pg.make("diabolical-lock", horizon=2, n_actions=3, secret=[[1, 2], [0, 1]], anti_shaped="at-end")
    np.testing.assert_allclose(late.r[:6].T[0], [0, 0, 0, 1, 0.05, 0.05])
    assert pytest.approx(1) == pg.solve(mdp).J
    assert mdp.horizon == 2


@pytest.mark.parametrize("anti_shaped", ["on-failure", "at-end"])
def test_consolations_are_flips_of_a_coin(anti_shaped):
    lock = tabular_lock(4, anti_shaped=anti_shaped)
    tau = lock.draw(lock.uniform(1), 40_000, [np.random.default_rng(0)])
    assert set(np.unique(tau.rewards)) <= {0.0, 0.1, 1.0}
    total = tau.rewards.sum(-1)[0]
    assert abs(total.mean() - 0.05) < 4 * total.std() / 200
    died = (tau.states == 2).any(-1)[0]
    assert (tau.rewards.argmax(-1)[0][total > 0] == 3).all() == (anti_shaped == "at-end")
    assert died.mean() == pytest.approx(1 - 1e-3, abs=1e-3)


# -- layers and counts --------------------------------------------------------------------------------------


def test_values_are_those_of_exact_evaluation():
    rng = np.random.default_rng(0)
    layers = random_layers(rng)
    pi = random_policies(rng, layers, 3)
    H, n, A = layers.shape
    mdp = layered(list(layers.P), list(layers.r), layers.start, discount=0.9)
    flat = np.concatenate([pi.reshape(3, H * n, A), np.full((3, 1, A), 1 / A)], axis=1)
    np.testing.assert_allclose(layers.expected_return(pi), evaluate(mdp, flat).J, atol=1e-12)
    # an unrolled MDP is layered; its best policy has the best return
    unrolled = unroll(pg.make("river-swim", n_states=4).replace(horizon=5))
    best = backward_induction(unrolled)
    greedy = np.eye(2)[best.policy_steps.reshape(5, -1)[0][:-1]].reshape(1, 5, 4, 2)
    for h in range(5):
        greedy[0, h] = np.eye(2)[best.policy_steps[h][4 * h : 4 * h + 4]]
    assert Layers(unrolled).expected_return(greedy)[0] == pytest.approx(best.J)


def test_counts_of_a_few_episodes_by_hand():
    rng = np.random.default_rng(1)
    layers = random_layers(rng, lottery=None)
    tau = layers.draw(random_policies(rng, layers, 2), 6, [np.random.default_rng(i) for i in range(2)])
    counts = Counts.of(tau, layers)
    for b in range(2):
        for h in range(4):
            for s in range(3):
                for a in range(2):
                    here = (tau.states[b, :, h] == s) & (tau.actions[b, :, h] == a)
                    assert counts.weights[b, h, s, a] == pytest.approx(here.mean())
                    later = (tau.rewards[b, here, h:] * 0.9 ** np.arange(4 - h)).sum(-1)
                    assert counts.returns[b, h, s, a] == pytest.approx(later.mean() if here.any() else 0)
                    if here.any() and h < 3:
                        after = np.bincount(tau.states[b, here, h + 1], minlength=3) / here.sum()
                        np.testing.assert_allclose(counts.P[b, h, s, a], after)
    np.testing.assert_allclose(counts.weights.sum((2, 3)), 1)


def test_a_sweep_is_the_two_term_regression():
    rng = np.random.default_rng(2)
    layers = random_layers(rng)
    pi = random_policies(rng, layers, 2)
    rngs = [np.random.default_rng(i) for i in range(2)]
    offline = Counts.of(layers.draw(layers.uniform(2), 30, rngs), layers)
    online = Counts.of(layers.draw(pi, 5, rngs), layers)
    for lam in (0.0, 0.5, 1e9, math.inf):
        f, V = sweep(pi, offline, online, lam, 0.9), np.zeros((2, 3))
        for h in (3, 2, 1, 0):
            target = offline.r[:, h] + (0.9 * np.einsum("biaj,bj->bia", offline.P[:, h], V) if h < 3 else 0)
            nu, d = offline.weights[:, h], online.weights[:, h]
            if lam == math.inf:
                nu, lam_d = 0 * nu, d
            else:
                lam_d = lam * d
            seen = nu + lam_d > 0
            expected = (nu * target + lam_d * online.returns[:, h])[seen] / (nu + lam_d)[seen]
            np.testing.assert_allclose(f[:, h][seen], expected, atol=1e-12)
            assert (f[:, h][~seen] == 0).all()
            V = (pi[:, h] * f[:, h]).sum(-1)
    alone = sweep(pi, None, online, 1.0, 0.9)
    np.testing.assert_allclose(alone, np.where(online.weights > 0, online.returns, 0))
    np.testing.assert_allclose(sweep(pi, offline, None, 1.0, 0.9), sweep(pi, offline, online, 0.0, 0.9))


def test_a_sweep_over_many_data_is_the_truth():
    rng = np.random.default_rng(3)
    layers = random_layers(rng)
    pi = random_policies(rng, layers, 1)
    offline = Counts.of(layers.draw(layers.uniform(1), 200_000, [rng]), layers)
    online = Counts.of(layers.draw(pi, 200_000, [rng]), layers)
    for lam in (0, 1):
        np.testing.assert_allclose(sweep(pi, offline, online, lam, 0.9), layers.values(pi), atol=0.03)


# -- the method on the lock ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("H", "least", "most"), [(2, 3000, 3000), (3, 4995, 4995), (5, 8000, 8000), (10, 16_000, 16_000)]
)
def test_the_cost_grows_with_the_horizon_as_in_the_notes(H, least, most):
    lock, seeds = tabular_lock(H), range(100, 105)
    offline = collect(lock, 2000, seeds)
    hybrid = LayeredHAC().run(lock, offline, seeds, iterations=100, until=OPEN)
    cost = hybrid.steps_to(OPEN)
    assert least <= cost.min() <= cost.max() <= most
    assert (success_of_return(hybrid.J[-1]) > 0.5).all()
    np.testing.assert_allclose(hybrid.J[-1], lock.expected_return(hybrid.pi))
    blind = LayeredHAC(lam=0).run(lock, offline, seeds, iterations=100, until=OPEN)
    np.testing.assert_allclose(blind.steps_to(OPEN), cost, atol=1000)


def test_fifty_steps_take_eighty_thousand():
    lock, seeds = tabular_lock(50), range(100, 105)
    run = LayeredHAC().run(lock, collect(lock, 2000, seeds), seeds, iterations=120, until=OPEN)
    assert ((run.steps_to(OPEN) >= 79_000) & (run.steps_to(OPEN) <= 83_000)).all()
    assert (np.diff(run.steps) == 1000).all()


def test_without_offline_data_ten_steps_are_too_many():
    lock = tabular_lock(10)
    run = LayeredHAC(lam=math.inf).run(lock, None, range(100, 105), iterations=60, until=OPEN)
    assert np.isinf(run.steps_to(OPEN)).all()
    short = LayeredHAC(lam=math.inf).run(tabular_lock(2), None, range(100, 105), iterations=60, until=OPEN)
    assert (short.steps_to(OPEN) <= 6000).all()


def test_a_seed_is_the_same_alone():
    lock = tabular_lock(4)
    many, one = ((seeds, collect(lock, 100, seeds)) for seeds in ((3, 7), (7,)))
    runs = [LayeredHAC().run(lock, offline, seeds, iterations=5) for seeds, offline in (many, one)]
    np.testing.assert_array_equal(runs[0].J[:, 1], runs[1].J[:, 0])
    np.testing.assert_array_equal(runs[0].pi[1], runs[1].pi[0])
    assert (runs[0].pi[0] != runs[0].pi[1]).any()


def test_the_first_time_counts_and_never_is_infinite():
    lock = tabular_lock(2)
    run = LayeredHAC().run(lock, collect(lock, 500, [0]), [0], iterations=20)
    assert len(run.J) == 21
    first = int((run.J[:, 0] > OPEN).argmax())
    assert run.steps_to(OPEN)[0] == run.steps[first] == 1000 * first
    assert run.steps_to(2.0)[0] == math.inf
