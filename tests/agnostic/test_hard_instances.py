"""Lower-bound instances: their values and coverage, for any horizon, in latent form and with blocks of labels."""

import numpy as np
import pytest

from pgtheory.agnostic.classes import one_active, open_loop, singletons
from pgtheory.agnostic.conditions import completeness_gap, realizability_gap
from pgtheory.agnostic.coverage import (
    concentrability,
    coverability,
    pushforward_concentrability,
)
from pgtheory.agnostic.instances import (
    advantage_trap,
    balanced_lock,
    doubling_gaps,
    error_amplifier,
    hidden_arm,
    star_or_bad,
    two_latent_lock,
    worked_mdp,
)
from pgtheory.agnostic.problems import context_block, random_class, random_tabular, special_walk
from pgtheory.agnostic.spanning import spanning_capacity


def rng(seed=0):
    return np.random.default_rng(seed)


def coverage(env, size):
    """C_cov, its state–action form, C_conc and C_push of the open-loop class over ``size`` labels a latent state."""
    mdp, mu = env.blocks(size)
    policies = open_loop(mdp.sizes[0], mdp.horizon)
    return (
        coverability(policies, mdp).value,
        coverability(policies, mdp, pairs=True).value,
        concentrability(policies, mdp, mu),
        pushforward_concentrability(mdp, mu),
    )


def completeness_gaps(env, size=1):
    """Layer-wise and joint gap of the open-loop class over labels."""
    mdp, mu = env.blocks(size)
    policies = open_loop(mdp.sizes[0], mdp.horizon)
    return completeness_gap(policies, mdp, mu), completeness_gap(policies, mdp, mu, joint=True)


def test_the_worked_mdp():
    mdp, policies = worked_mdp()
    mu = [[0.5, 0.5]] * 2
    assert mdp.values(policies.actions) == pytest.approx([0.275, 0.425, 0.275, 0.8, 0.175])
    assert mdp.optimal()[0][0] @ mdp.start == pytest.approx(0.8)
    assert coverability(policies, mdp).value == pytest.approx(1.5)
    assert coverability(policies, mdp, pairs=True).value == pytest.approx(2.5)
    assert concentrability(policies, mdp, mu) == pushforward_concentrability(mdp, mu) == pytest.approx(2)
    assert completeness_gap(policies, mdp, mu) == pytest.approx(0, abs=1e-15)
    assert completeness_gap(policies, mdp, mu, joint=True) == pytest.approx(0.1)
    assert spanning_capacity(policies).by_layer[1] == 3


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("horizon", [2, 3, 5])
def test_the_two_latent_lock(horizon, size):
    secret = rng(horizon).integers(2, size=horizon)
    lock, policies = two_latent_lock(secret), open_loop(1, horizon)
    values = lock.values(policies)
    assert sorted(values)[-2:] == [0, 1]
    assert values.sum() == 1
    assert policies.index([[b] for b in secret]) == values.argmax()
    assert coverage(lock, size) == pytest.approx((2, 4, 2, 2))
    assert completeness_gaps(lock, size) == pytest.approx((0, 0))
    mdp, _ = lock.blocks(size)
    assert realizability_gap(open_loop(2 * size, horizon), mdp, everywhere=True) == 0


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("horizon", [2, 3, 5])
def test_the_balanced_lock(horizon, size):
    secret = rng(horizon).integers(2, size=horizon)
    lock, policies = balanced_lock(secret), open_loop(1, horizon)
    values = lock.values(policies)
    assert values[policies.index([[b] for b in secret])] == 1
    assert sorted(values)[:-1] == [0.5] * (2**horizon - 1)
    assert coverage(lock, size)[::2] == pytest.approx((2, 3))
    assert coverage(lock, size)[3] == pytest.approx(3)
    assert completeness_gaps(lock, size) == pytest.approx((0.5 / 3, (horizon - 1) * 0.5 / 3))
    V = lock.mdp.evaluate(lock.latent_policies(policies)).V
    for h in range(1, horizon):
        assert V[h] @ lock.resets[h] == pytest.approx(np.full(len(policies), 0.5), abs=1e-15)
    mdp, _ = lock.blocks(size)
    everywhere = realizability_gap(open_loop(3 * size, horizon), mdp, everywhere=True)
    assert realizability_gap(open_loop(3 * size, horizon), mdp) == 0 < everywhere
    softer = balanced_lock(secret, delta=0.2)
    assert completeness_gaps(softer)[0] == pytest.approx(0.2 / 3)


def test_the_amplifier():
    env, policies = error_amplifier([0.3, 0.2, 0.1]), star_or_bad(3)
    assert env.values(policies).tolist() == pytest.approx([0.7, 1.0])
    V = env.mdp.evaluate(env.latent_policies(policies)).V
    assert [v[1].tolist() for v in V] == [[1, 1, 0]] * 3  # all-star is optimal everywhere
    assert all((v[1] >= v[0]).all() for v in V)
    assert coverage(env, 1)[2:] == pytest.approx((3, 3))
    assert doubling_gaps(3, 0.001) == pytest.approx([0.012, 0.006, 0.003], rel=1e-5)
    assert (advantage_trap(4).values(star_or_bad(4)) == [0.5, 1.0]).all()


@pytest.mark.parametrize("policies", [singletons(3, 3), one_active(3, 3), open_loop(4, 3)])
def test_the_hidden_arm(policies):
    capacity = spanning_capacity(policies)
    layer = int(np.argmax(capacity.by_layer))
    arms = range(capacity.value)
    values = [hidden_arm(capacity.witness, policies, layer, arm, 0.2).values(policies) for arm in arms]
    assert all(set(np.round(v, 12)) == {0.5, 0.7} for v in values)
    assert len({tuple(v) for v in values}) == capacity.value  # as many hypotheses to tell apart
    with pytest.raises(ValueError, match=r"arm must be in 0\.\."):
        hidden_arm(capacity.witness, policies, layer, capacity.value, 0.2)
    with pytest.raises(ValueError, match="epsilon must be at most 1/2"):
        hidden_arm(capacity.witness, policies, layer, 0, 0.6)


def test_the_special_walk():
    secret = [1, 0, 1]
    env, policies = special_walk(secret), one_active(2, 3)
    values = env.values(policies)
    best = policies.index([[b, 0] for b in secret])
    assert values.argmax() == best
    assert values[best] == pytest.approx(0.9 * 0.9 + 0.1 * 0.15)
    wrong_first = policies.index([[0, 0], [0, 0], [1, 0]])
    assert values[wrong_first] == pytest.approx(0.15)


def test_random_problems_have_exact_values_by_latent_dynamic_programming():
    """The context is averaged out of the policy before it acts, once a step."""
    env, policies = context_block(3, 4, 4, rng(1)), random_class(4, 4, 60, rng(2))
    assert len(policies) == 60
    i, V = 17, np.zeros(3)
    for h in reversed(range(4)):
        Q = env.mdp.rewards[h] + (env.mdp.transitions[h] @ V if h < 3 else 0)
        V = np.mean([Q[:, policies.actions[h][i, c]] for c in range(4)], axis=0)
    assert env.values(policies)[i] == pytest.approx(V[0])
    assert random_tabular(3, 2, rng(), deterministic=True).mdp.is_deterministic


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: two_latent_lock([]), "secret must hold at least one action"),
        (lambda: two_latent_lock([0, 2]), r"secret must hold integers 0..1, got secret\[1\] = 2"),
        (lambda: two_latent_lock([0], good=1.5), "good must be a probability"),
        (lambda: balanced_lock([0], delta=0.0), "delta must be positive"),
        (lambda: balanced_lock([0], delta=0.6), "delta must be at most 1/2"),
        (lambda: error_amplifier([]), "gaps must hold at least one number"),
        (lambda: error_amplifier([1.2]), "gaps must hold at least one number in"),
        (lambda: doubling_gaps(3, 0.0), "error must be positive"),
        (lambda: advantage_trap(0), "horizon must be at least 1"),
        (lambda: special_walk([0], stay=2.0), "stay must be a probability"),
        (lambda: random_tabular(0, 2, rng()), "states must be at least 1"),
        (lambda: random_class(2, 2, 0, rng()), "n must be at least 1"),
        (lambda: context_block(2, 2, 0, rng()), "contexts must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
