"""Conservative policy iteration: improvement, stopping, the trap, and estimates of advantages."""

import numpy as np
import pytest

from pgtheory.agnostic.access import BudgetExhausted, MuReset, Online
from pgtheory.agnostic.advantages import estimate_advantages, exact_advantages
from pgtheory.agnostic.classes import singletons, tabular
from pgtheory.agnostic.cpi import cpi, exact_cpi
from pgtheory.agnostic.instances import advantage_trap, star_or_bad
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.problems import context_block, random_class, random_tabular


def rng(seed=0):
    return np.random.default_rng(seed)


def problem(seed, states=4, horizon=4, n_actions=3):
    env = random_tabular(states, horizon, rng(seed), n_actions=n_actions)
    env = ObservedMDP.tabular(env.mdp, resets=rng(seed + 1).dirichlet(np.ones(states), horizon))
    return env, random_class(states, horizon, 12, rng(seed + 2), n_actions=n_actions)


def restart_value(env, policy):
    """V_ν of a policy on states, H arrays [S, A]."""
    V = env.mdp.evaluate([p[None] for p in policy]).V
    return float(np.mean([mu @ v[0] for mu, v in zip(env.resets, V)]))


@pytest.mark.parametrize("seed", range(60))
def test_every_step_improves_as_much_as_promised(seed):
    env, policies = problem(seed)
    H = env.mdp.horizon
    policy = [np.eye(3)[x[0]] for x in policies.actions]
    for _ in range(6):
        advantage = exact_advantages(env, policies, policy)
        best, gain = int(advantage.argmax()), float(advantage.max())
        if gain <= 0:
            break
        bound = max(
            np.abs(Q[0] - (Q[0] * p).sum(-1, keepdims=True)).max()
            for Q, p in zip(env.mdp.evaluate([p[None] for p in policy]).Q, policy)
        )
        before, alpha = restart_value(env, policy), min(1.0, gain / (2 * H * (H - 1) * bound))
        policy = [(1 - alpha) * p + alpha * np.eye(3)[x[best]] for p, x in zip(policy, policies.actions)]
        rise = restart_value(env, policy) - before
        assert rise >= alpha * gain - alpha**2 * H * (H - 1) * bound - 1e-12
        if alpha < 1:
            assert rise >= gain**2 / (4 * H * (H - 1) * bound) - 1e-12


def test_its_steps_are_the_promised_ones():
    env, policies = problem(3)
    worst = int(env.values(policies).argmin())
    result = exact_cpi(env, policies, first=worst, iterations=5)
    assert len(result.steps) == 6
    assert not result.converged
    assert result.values[-1] == pytest.approx(
        env.mdp.evaluate([p[None] for p in result.policy]).value[0], abs=1e-12
    )
    for (alpha, best), seen in zip(result.steps[1:], result.advantages):
        assert best == seen.argmax()
        assert alpha == pytest.approx(seen.max() / (2 * 4 * 3))
    policy = [np.eye(3)[x[worst]] for x in policies.actions]
    for alpha, best in result.steps[1:]:
        policy = [(1 - alpha) * p + alpha * np.eye(3)[x[best]] for p, x in zip(policy, policies.actions)]
    assert all(np.allclose(p, q, atol=1e-14) for p, q in zip(policy, result.policy))


def test_one_layer_takes_the_whole_step_and_stops():
    env, policies = problem(5, horizon=1)
    result = exact_cpi(env, policies)
    assert result.converged
    assert len(result.steps) <= 2
    scores = [(env.resets[0] * env.mdp.rewards[0][np.arange(4), row]).sum() for row in policies.actions[0]]
    assert restart_value(env, result.policy) == pytest.approx(max(scores), abs=1e-12)


def test_advantage_is_the_derivative_along_the_mixture():
    env, policies = problem(7)
    policy = [rng(1).dirichlet(np.ones(3), 4) for _ in range(4)]
    advantage = exact_advantages(env, policies, policy)
    for i in (0, 5):
        moved = [(1 - 1e-5) * p + 1e-5 * np.eye(3)[x[i]] for p, x in zip(policy, policies.actions)]
        slope = (restart_value(env, moved) - restart_value(env, policy)) / 1e-5
        assert slope == pytest.approx(advantage[i], abs=1e-4)


@pytest.mark.parametrize("horizon", range(2, 9))
def test_the_trap(horizon):
    """Advantage -1/6 in every layer but the last, +1/6 there: CPI stops at once half a unit below the best."""
    env, policies = advantage_trap(horizon), star_or_bad(horizon)
    bad = [np.eye(2)[[0]]] * horizon
    total = exact_advantages(env, policies, bad)
    assert total[0] == pytest.approx(0, abs=1e-15)
    # restarts at layers up to h reach k and o of layer h by μ_h / H only, for all-bad never goes on
    assert total[1] == pytest.approx(-(horizon - 2) / (6 * horizon), abs=1e-15)
    Q = env.mdp.evaluate([p[None] for p in [np.eye(2)[[0, 0, 0]]] * horizon]).Q
    by_layer = [mu @ (q[0, :, 1] - q[0, :, 0]) for mu, q in zip(env.resets, Q)]
    assert by_layer == pytest.approx([-1 / 6] * (horizon - 1) + [1 / 6])
    result = exact_cpi(env, policies)
    assert result.converged
    assert len(result.steps) == 1
    assert env.values(policies).max() - result.values[-1] == pytest.approx(0.5)


def test_with_a_complete_class_it_climbs():
    env, _ = problem(9, states=2, horizon=2, n_actions=2)
    result = exact_cpi(env, tabular(2, 2), tolerance=1e-3, iterations=5000)
    V, _ = env.mdp.optimal()
    assert result.converged
    assert result.values[-1] > V[0] @ env.mdp.start - 0.02


@pytest.mark.parametrize("contexts", [False, True])
def test_estimates_are_unbiased(contexts):
    env, policies = problem(2, states=2, horizon=3, n_actions=2)
    if contexts:
        env, policies = context_block(3, 3, 2, rng(1)), random_class(2, 3, 12, rng(2))
    policy = tuple(rng(3).dirichlet(np.ones(2), 2) for _ in range(3))
    means = np.array(
        [estimate_advantages(MuReset(env, rng(i)), policies, policy, 2000, rng(i + 99)) for i in range(150)]
    )
    error = means.std(0) / np.sqrt(len(means))
    assert (np.abs(means.mean(0) - exact_advantages(env, policies, policy)) < 4.5 * error + 1e-12).all()


def test_cpi_from_episodes_climbs_where_it_can_and_counts():
    env, policies = problem(4, states=2, horizon=2, n_actions=2)
    access = MuReset(env, rng(1))
    result = cpi(access, policies, 4000, rng(2), tolerance=0.02, iterations=30)
    assert access.spent.resets == 4000 * len(result.advantages)
    assert restart_value(env, result.policy) >= restart_value(
        env, [np.eye(2)[x[0]] for x in policies.actions]
    )
    assert len(result.values) == 0


def test_bad_input():
    env, policies = problem(1)
    unset = random_tabular(4, 4, rng(), n_actions=3)
    for message, call in (
        ("env must have reset distributions", lambda: exact_cpi(unset, policies)),
        ("first must be in 0..", lambda: exact_cpi(env, policies, first=99)),
        ("tolerance must be non-negative", lambda: exact_cpi(env, policies, tolerance=-1.0)),
        ("iterations must be at least 1", lambda: exact_cpi(env, policies, iterations=0)),
        ("advantage_bound must be positive", lambda: exact_cpi(env, policies, advantage_bound=0.0)),
        ("n must be at least 1", lambda: cpi(MuReset(env, rng()), policies, 0, rng(), tolerance=0.1)),
        ("policies must be defined on", lambda: exact_cpi(env, singletons(4, 4))),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="access must be a MuReset"):
        cpi(Online(env, rng()), policies, 10, rng(), tolerance=0.1)
    with pytest.raises(BudgetExhausted):
        cpi(MuReset(env, rng(), episodes=5), policies, 10, rng(), tolerance=0.1)
