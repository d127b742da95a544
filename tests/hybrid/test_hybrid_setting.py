"""Occupancies, values and samples under a reset of pairs or of states."""

import numpy as np
import pytest
from two_states import EVEN, PI, TWO, occupancy_by_hand, random_policy, random_setting, two

from pgtheory.hybrid import Setting, chain_or_exit, empirical, population, sampled
from pgtheory.mdp import FiniteMDP, evaluate


def test_worked_numbers_of_two_states():
    setting = two()
    np.testing.assert_allclose(
        setting.action_values(PI).ravel(), [4.724036, 5.051643, 5.501716, 4.640484], atol=5e-7
    )
    np.testing.assert_allclose(
        setting.occupancy(PI).ravel(), [0.273595, 0.175780, 0.324718, 0.225907], atol=5e-7
    )


@pytest.mark.parametrize("reset_pairs", [True, False])
def test_occupancy_adds_up_the_steps(reset_pairs):
    rng = np.random.default_rng(0)
    for _ in range(30):
        setting = random_setting(rng, reset_pairs=reset_pairs)
        pi = random_policy(rng, setting)
        d = setting.occupancy(pi)
        assert d.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(d, occupancy_by_hand(setting, pi), atol=1e-12)
        # a return is what the occupancy collects
        assert setting.value(pi) == pytest.approx((d * setting.mdp.r).sum() / (1 - 0.9), abs=1e-11)


def test_a_reset_of_states_is_the_usual_value():
    rng = np.random.default_rng(1)
    setting = random_setting(rng, reset_pairs=False)
    pi = random_policy(rng, setting)
    usual = evaluate(setting.mdp.replace(start=setting.reset), pi)
    assert setting.value(pi) == pytest.approx(float(usual.J))
    np.testing.assert_allclose(setting.occupancy(pi), usual.distribution[:, None] * pi, atol=1e-13)
    assert Setting(TWO, EVEN).reset == pytest.approx(TWO.start)


def test_occupancy_of_the_misspecified_instance():
    setting, _ = chain_or_exit()
    for chain in (0.0, 0.3, 1.0):
        pi = np.array([[chain, 1 - chain], [1, 0], [1, 0], [0.5, 0.5]])
        d = setting.occupancy(pi)
        np.testing.assert_allclose(d[:3].ravel(), [0.025, 0.025, 0.02375, 0, 0.45125, 0], atol=1e-15)
        assert d.sum() == pytest.approx(1)  # what has ended counts
        of_states, _ = chain_or_exit(reset_pairs=False)
        expected = [0.05 * chain, 0.05 * (1 - chain), 0.0475 * chain, 0, 0.9025 * chain, 0]
        np.testing.assert_allclose(of_states.occupancy(pi)[:3].ravel(), expected, atol=1e-15)


@pytest.mark.parametrize("reset_pairs", [True, False])
def test_on_policy_draws_have_the_occupancy_and_unbiased_returns(reset_pairs):
    setting = two(reset=EVEN if reset_pairs else np.array([0.7, 0.3]))
    rng, m = np.random.default_rng(2), 200_000
    draws = setting.draw_on_policy(PI, m, rng)
    pair, Q = 2 * draws.s + draws.a, setting.action_values(PI)
    share = np.bincount(pair, minlength=4) / m
    d = setting.occupancy(PI).ravel()
    assert (np.abs(share - d) < 4 * np.sqrt(d / m)).all()
    for i in range(4):
        y = draws.returns[pair == i]
        assert abs(y.mean() - Q.ravel()[i]) < 4 * y.std() / np.sqrt(len(y))
        np.testing.assert_array_equal(draws.r[pair == i], setting.mdp.r.ravel()[i])
        after = np.bincount(draws.s_next[pair == i], minlength=2) / len(y)
        np.testing.assert_allclose(after, TWO.P.reshape(4, 2)[i], atol=0.01)


def test_offline_draws_have_nu_and_pay_by_transition():
    reward = np.arange(8.0).reshape(2, 2, 2)
    for mdp in (FiniteMDP(TWO.P, reward, 0.9), FiniteMDP(TWO.P, reward, 0.9).to_sparse()):
        setting = two(nu=[[0.5, 0.2], [0.3, 0.0]], mdp=mdp)
        draws = setting.draw_offline(50_000, np.random.default_rng(3))
        share = np.bincount(2 * draws.s + draws.a, minlength=4) / 50_000
        np.testing.assert_allclose(share, [0.5, 0.2, 0.3, 0.0], atol=0.01)
        if not mdp.is_sparse:
            np.testing.assert_array_equal(draws.r, reward[draws.s, draws.a, draws.s_next])
        assert not ((draws.s == 1) & (draws.a == 1)).any()


def test_moments_of_many_samples_are_the_population():
    setting = two()
    exact = population(setting, PI)
    many = sampled(setting, PI, 400_000, 400_000, np.random.default_rng(4))
    np.testing.assert_allclose(many.offline.weights, exact.offline.weights, atol=0.005)
    np.testing.assert_allclose(many.online.weights, exact.online.weights, atol=0.005)
    np.testing.assert_allclose(many.offline.r, exact.offline.r, atol=1e-12)
    np.testing.assert_allclose(many.offline.P.toarray(), exact.offline.P, atol=0.006)
    np.testing.assert_allclose(many.online.P.toarray(), exact.online.P, atol=0.006)
    np.testing.assert_allclose(many.returns, exact.returns, atol=0.1)


def test_moments_of_a_few_samples_by_hand():
    setting = two()
    offline = setting.draw_offline(5, np.random.default_rng(5))
    online = setting.draw_on_policy(PI, 7, np.random.default_rng(6))
    moments = empirical(TWO, offline, online)
    for s in range(2):
        for a in range(2):
            here, there = (offline.s == s) & (offline.a == a), (online.s == s) & (online.a == a)
            assert moments.offline.weights[s, a] == pytest.approx(here.mean())
            assert moments.online.weights[s, a] == pytest.approx(there.mean())
            assert moments.returns[s, a] == pytest.approx(
                online.returns[there].mean() if there.any() else 0.0
            )
            if here.any():
                after = np.bincount(offline.s_next[here], minlength=2) / here.sum()
                np.testing.assert_allclose(moments.offline.P.toarray()[2 * s + a], after)
    alone = empirical(TWO, None, online)
    assert not alone.offline.weights.any()
