"""HAC and HNPG: worked numbers, the instance that separates the critics, equivalences, runs that end early."""

import math

import numpy as np
import pytest
from two_states import PI, THETA, random_setting, two

from pgtheory.hybrid import (
    HPE,
    Linear,
    Tabular,
    chain_or_exit,
    fresh,
    hac,
    hnpg,
    natural_direction,
    population,
)
from pgtheory.hybrid.actor_critic import alternate, mirror_descent_step, softmax
from pgtheory.hybrid.natural_gradient import scores
from pgtheory.mdp import solve

F = np.array([[1.0, 3.0], [2.0, -1.0]])
ONE_HOT = np.eye(4).reshape(2, 2, 4)


def exit_value(history):
    """Value of x_0 where the policy picks the action [t + 1]."""
    return 0.5 * history.policies[:, 0, 1]


def separation(method, reset_pairs=True, T=50, bounded=True):
    setting, critic = chain_or_exit(reset_pairs=reset_pairs)
    start = critic.features @ [0.01, 0.0]
    critic = critic if bounded else critic.unbounded()
    return hac(setting, critic, method, T=T, eta=0.5, start=start)


# -- the misspecified instance ------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [1, 10])
def test_the_hybrid_critic_finds_the_exit(lam):
    history = separation(HPE(lam))
    assert exit_value(history)[-1] == pytest.approx(0.499998, abs=5e-7)
    assert exit_value(history)[:-1].mean() == pytest.approx(0.469722, abs=5e-7)
    assert history.policies.shape == (51, 4, 2)
    assert not history.pinned.any()
    assert (history.factors < 1).all()


@pytest.mark.parametrize("method", [HPE(0), HPE(1, on_targets="bootstrap")])
def test_offline_only_and_bootstrap_on_both_walk_into_the_chain(method):
    history = separation(method)
    assert exit_value(history)[-1] < 1e-60
    assert history.pinned.all()
    assert (history.factors > 1.05).all()


def test_without_its_bound_the_offline_critic_ends_the_run_with_its_history():
    history = separation(HPE(0, 100, 400), bounded=False)
    assert history.divergence.factor == pytest.approx(1.130952, abs=1e-6)
    assert len(history.policies) == len(history.critics) == 1
    np.testing.assert_array_equal(history.policies[0, 0], [0.5, 0.5])
    assert np.isfinite(history.critics).all()
    assert separation(HPE(1, 100, 400), bounded=False).divergence is None


def test_a_reset_of_states_degrades_as_one_over_lam():
    for lam in (1, 10, 100):
        settled = separation(HPE(lam, 10, 60), reset_pairs=False, T=400).policies[-1, 0, 0]
        assert lam * settled == pytest.approx(0.0192428, abs=5e-7)
    restless = separation(HPE(1), reset_pairs=False, T=400).policies[-100:, 0, 0].mean()
    assert restless == pytest.approx(0.071, rel=0.03)


def test_the_rest_points_solve_their_equation():
    for (K1, K2), point in {(10, 60): 0.019243, (100, 200): 0.058721}.items():
        factor = 2.375 / (2.1 + 3.7075 * point)
        assert np.mean(0.01 * factor ** np.arange(K1 + 1, K2 + 1)) == pytest.approx(0.5, rel=1e-3)


# -- the updates --------------------------------------------------------------------------------------------


def test_worked_numbers_of_the_natural_gradient():
    weights = HPE(1).weights(population(two(), PI))
    advantage = F - (PI * F).sum(-1, keepdims=True)
    np.testing.assert_allclose(advantage.ravel(), [-0.755081, 1.244919, 1.203937, -1.796063], atol=5e-7)
    exact = natural_direction(PI, ONE_HOT, weights, F)
    np.testing.assert_allclose(exact, [-1, 1, 1.5, -1.5], atol=1e-12)
    np.testing.assert_allclose(natural_direction(PI, ONE_HOT, weights, F, cg_iterations=10), exact, atol=1e-9)
    after = np.array([[0.377541, 0.622459], [0.869892, 0.130108]])
    np.testing.assert_allclose(softmax(THETA + 0.5 * exact.reshape(2, 2)), after, atol=5e-7)
    np.testing.assert_allclose(softmax(THETA + 0.5 * F), after, atol=5e-7)


def test_hnpg_with_a_tabular_softmax_is_hac():
    rng = np.random.default_rng(0)
    for method in (HPE(1, 10, 20), HPE(0.2, 10, 20), HPE(math.inf, 0, 1)):
        setting = random_setting(rng)
        ours, theirs = (run(setting, Tabular(), method, T=15, eta=0.4) for run in (hac, hnpg))
        np.testing.assert_allclose(ours.policies, theirs.policies, atol=1e-9)


def test_without_offline_data_hnpg_is_the_natural_policy_gradient():
    setting = random_setting(np.random.default_rng(1))
    history = hnpg(setting, Tabular(), HPE(math.inf, 0, 1), T=3, eta=0.2)
    pi = history.policies[0]
    for after in history.policies[1:]:  # Kakade: theta + eta A, with exact advantages
        pi = softmax(np.log(pi) + 0.2 * setting.action_values(pi))
        np.testing.assert_allclose(after, pi, atol=1e-10)


def test_damped_directions_solve_the_damped_system():
    rng = np.random.default_rng(2)
    setting = random_setting(rng)
    pi, phi, f = rng.dirichlet(np.ones(3), 4), rng.normal(size=(4, 3, 5)), rng.normal(size=(4, 3))
    weights = setting.nu + 3 * setting.occupancy(pi)
    score = scores(pi, phi)
    np.testing.assert_allclose(np.einsum("sa,sad->sd", pi, score), 0, atol=1e-14)
    F_mix = np.einsum("sai,sa,saj->ij", score, weights, score)
    g = np.einsum("sa,sad->d", weights * (f - (pi * f).sum(-1, keepdims=True)), score)
    expected = np.linalg.solve(F_mix + 0.1 * np.eye(5), g)
    np.testing.assert_allclose(natural_direction(pi, phi, weights, f, damping=0.1), expected, atol=1e-10)
    by_cg = natural_direction(pi, phi, weights, f, damping=0.1, cg_iterations=20)
    np.testing.assert_allclose(by_cg, expected, atol=1e-9)
    assert np.abs(natural_direction(pi, phi, weights, f, cg_iterations=1) - expected).max() > 1e-3
    # what is constant in a state says nothing
    flat = np.broadcast_to(rng.normal(size=(4, 1)), (4, 3))
    np.testing.assert_allclose(natural_direction(pi, phi, weights, flat), 0, atol=1e-12)


def test_a_log_linear_policy_moves_along_its_features():
    rng = np.random.default_rng(3)
    setting = random_setting(rng)
    phi = rng.normal(size=(4, 3, 2))
    history = hnpg(setting, Tabular(), HPE(1, 5, 10), T=4, eta=0.3, features=phi)
    logits = np.log(history.policies)
    centred = (logits - logits.mean(-1, keepdims=True)).reshape(5, -1)
    basis = (phi - phi.mean(1, keepdims=True)).reshape(-1, 2)
    residual = centred.T - basis @ np.linalg.lstsq(basis, centred.T, rcond=None)[0]
    np.testing.assert_allclose(residual, 0, atol=1e-12)
    assert setting.value(history.policies[-1]) > setting.value(history.policies[0])


def test_the_damped_natural_gradient_solves_the_misspecified_instance_too():
    setting, critic = chain_or_exit()
    start = critic.features @ [0.01, 0.0]
    for options in ({"damping": 1e-3}, {"damping": 1e-3, "cg_iterations": 10}):
        history = hnpg(setting, critic, HPE(1), T=50, eta=0.5, start=start, **options)
        assert exit_value(history)[-1] > 0.49
        lost = hnpg(setting, critic, HPE(0), T=50, eta=0.5, start=start, **options)
        assert exit_value(lost)[-1] < 1e-9


# -- runs ---------------------------------------------------------------------------------------------------


def test_hac_comes_close_to_the_optimum_of_random_mdps():
    rng = np.random.default_rng(4)
    for _ in range(5):
        setting = random_setting(rng)
        history = hac(setting, Tabular(), HPE(1, 10, 20), T=60, eta=10.0)
        best = np.eye(3)[solve(setting.mdp).policy]
        assert setting.value(history.policies[-1]) == pytest.approx(setting.value(best), abs=1e-3)


def test_fresh_samples_drive_hac_as_populations_do():
    setting, runs = two(), []
    for seed in (5, 5, 6):
        data = fresh(setting, 1000, 1000, np.random.default_rng(seed))
        runs.append(hac(setting, Tabular(), HPE(1, 3, 5), T=8, eta=0.5, data=data).policies)
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-4
    population_run = hac(setting, Tabular(), HPE(1, 3, 5), T=8, eta=0.5)
    np.testing.assert_allclose(runs[0], population_run.policies, atol=0.1)


def test_the_default_step_is_the_theorys():
    setting = two()
    assert mirror_descent_step(setting, 100) == pytest.approx(0.1 * math.sqrt(math.log(2) / 100))
    default, given = (
        hac(setting, Tabular(), HPE(1, 5, 10), T=9, eta=eta)
        for eta in (None, 0.1 * math.sqrt(math.log(2) / 9))
    )
    np.testing.assert_allclose(default.policies, given.policies, atol=1e-15)


def test_the_output_is_any_of_the_policies():
    history = hac(two(), Tabular(), HPE(1, 0, 5), T=3, eta=0.5)
    rng, seen = np.random.default_rng(6), set()
    for _ in range(60):
        drawn = history.drawn(rng)
        seen.add(next(i for i, pi in enumerate(history.policies) if (pi == drawn).all()))
    assert seen == {0, 1, 2, 3}


def test_a_divergence_later_in_a_run_keeps_the_rounds_before():
    class Growing(Tabular):
        rounds = 0

        def regression(self, weights):
            Growing.rounds += 1
            return (
                super().regression(weights) if Growing.rounds < 4 else lambda y, previous: 10 * previous + 1
            )

    setting = two()
    history = alternate(setting, Growing(), HPE(1, 0, 40), lambda pi, fit: fit.f, 9)
    assert history.divergence.factor == pytest.approx(10)
    assert (len(history.policies), len(history.critics)) == (4, 4)


def test_forbidden_actions_are_never_taken():
    history = separation(HPE(1))
    np.testing.assert_array_equal(history.policies[:, 1:3, 1], 0)
    setting, critic = chain_or_exit()
    np.testing.assert_array_equal(
        hnpg(setting, Linear(critic.features), HPE(1), T=3, eta=0.5).policies[:, 1:3, 1], 0
    )
