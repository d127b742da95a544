"""Theorem 4.2 is an equality, Corollary 4.5 never violated, and repeated improvement monotone."""

import numpy as np
import pytest
from states import BOX, random_box

from pgtheory.brrl import RatioBox, improve, iterate, iterations_to_close, lower_bound
from pgtheory.mdp import FiniteMDP, evaluate, expected_return, make, solve

TWO = FiniteMDP([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0, 1]]], [[1, 0], [0, 2]], 0.9, [1, 0])
OLD = np.array([[0.6, 0.4], [0.7, 0.3]])


def random_mdp(rng):
    """Some with action sets, an end, tied rewards; and a policy that may leave an action out."""
    S, A = int(rng.integers(2, 6)), int(rng.integers(2, 5))
    actions = rng.random((S, A)) < 0.8
    actions[np.arange(S), rng.integers(A, size=S)] = True
    P, r = rng.dirichlet(np.ones(S), size=(S, A)), rng.normal(size=(S, A))
    if rng.random() < 0.4:  # every action leads to the same place: ties of Q wherever rewards tie
        P, r = np.repeat(P[:, :1], A, 1), rng.integers(0, 2, (S, A)).astype(float)
    terminal = np.zeros(S, bool)
    if S > 2 and rng.random() < 0.4:
        terminal[-1] = True
        P[-1], r[-1] = np.eye(S)[-1], 0
    mdp = FiniteMDP(P, r, rng.uniform(0, 0.95), terminal=terminal, actions=actions)
    return mdp, random_policy(rng, mdp)


def random_policy(rng, mdp):
    pi = rng.dirichlet(np.ones(mdp.n_actions), size=mdp.n_states) * mdp.actions + 1e-9 * mdp.actions
    if rng.random() < 0.3:
        pi[np.arange(mdp.n_states), pi.argmin(-1)] *= 0
        pi = np.where(pi.sum(-1, keepdims=True) > 0, pi, mdp.actions)
    return pi / pi.sum(-1, keepdims=True)


# -- the identity -----------------------------------------------------------------------------------------------


def test_worked_numbers_of_two_states():
    soft, hard = improve(TWO, OLD, BOX, 0.5), improve(TWO, OLD, BOX)
    np.testing.assert_allclose(soft.before.V, [6, 6], rtol=1e-14)
    np.testing.assert_allclose(soft.before.Q, [[6.4, 5.4], [5.4, 7.4]], rtol=1e-14)
    np.testing.assert_allclose(soft.threshold, (6.016464, 5.816437), atol=5e-7)
    np.testing.assert_allclose(soft.policy, [(0.643893, 0.356107), (0.644851, 0.355149)], atol=5e-7)
    assert soft.J_after == pytest.approx(6.735219, abs=5e-7)
    np.testing.assert_allclose(0.2 * soft.B, 0.735219, atol=5e-7)
    np.testing.assert_allclose(hard.policy, [(0.68, 0.32), (0.64, 0.36)], rtol=1e-14)
    assert hard.J_after == pytest.approx(6.971630, abs=5e-7)


@pytest.mark.parametrize("temperature", [0.0, 1e-12, 1e-3, 0.3, 10.0])
def test_the_identity_holds_to_rounding(temperature):
    rng = np.random.default_rng(5)
    for _ in range(300):
        mdp, pi = random_mdp(rng)
        box = random_box(rng)
        step = improve(mdp, pi, box, temperature)
        rise, promised = step.identity
        assert rise == pytest.approx(promised, abs=1e-9)
        assert promised >= 0
        assert (step.policy[~mdp.actions] == 0).all()
        np.testing.assert_allclose(step.policy.sum(-1), 1, rtol=1e-14)
        np.testing.assert_allclose(step.ratio[mdp.terminal], 1, rtol=1e-14)


def test_b_is_the_mean_absolute_deviation_about_the_median_of_visited_states():
    rng = np.random.default_rng(6)
    for _ in range(100):
        mdp, pi = random_mdp(rng)
        hard, soft = improve(mdp, pi, BOX), improve(mdp, pi, BOX, 0.3)
        deviation = (pi * np.abs(hard.before.Q - hard.threshold[:, None])).sum(-1)
        np.testing.assert_allclose(hard.B, evaluate(mdp, hard.policy).visits @ deviation, atol=1e-10)
        above = soft.before.Q - soft.threshold[:, None]
        softened = (pi * np.tanh(above / 0.6) * above).sum(-1)
        np.testing.assert_allclose(soft.B, evaluate(mdp, soft.policy).visits @ softened, atol=1e-10)
    flat = FiniteMDP(TWO.P, np.ones((2, 2)), 0.9)
    np.testing.assert_allclose(improve(flat, OLD, BOX, 0.1).B, 0, atol=1e-12)


def test_the_mean_in_the_place_of_the_median_breaks_the_identity():
    """1 + ε sign(A) is no distribution: what it "returns" is off by its surplus mass times V.

    Rescaling makes it a policy, but not one of which the identity holds with ε E|A|; nor does it of π*.
    """
    old = evaluate(TWO, OLD)
    rho = 1 + 0.2 * np.sign(old.A)
    surplus = (OLD * rho).sum(-1) - 1
    np.testing.assert_allclose(surplus, [0.04, -0.08])
    about_mean = 0.2 * (OLD * np.abs(old.A)).sum(-1)  # ε times what B would hold with the mean
    P_pi, r_pi = TWO.induced(OLD * rho)
    m = np.linalg.solve(np.eye(2) - 0.9 * P_pi.T, TWO.start)
    off = m @ r_pi - old.J - m @ about_mean
    assert off == pytest.approx(m @ (surplus * old.V), abs=1e-12)
    assert abs(off) > 0.5
    rescaled = evaluate(TWO, OLD * rho / (1 + surplus)[:, None])
    assert abs(rescaled.J - old.J - rescaled.visits @ about_mean) > 0.001
    step = improve(TWO, OLD, BOX)
    assert abs(step.identity[0] - step.after.visits @ about_mean) > 0.1


def test_batches_sparse_storage_and_sure_policies():
    start = np.stack([OLD, OLD[::-1], np.full((2, 2), 0.5)])
    many = improve(TWO, start, BOX, 0.5)
    ones = [improve(TWO, pi, BOX, 0.5) for pi in start]
    np.testing.assert_allclose(many.B, [one.B for one in ones], rtol=1e-12)
    np.testing.assert_allclose(many.policy, [one.policy for one in ones], rtol=1e-12)
    sure = np.eye(2)
    assert (improve(TWO, sure, BOX).policy == sure).all()
    sparse = improve(TWO.to_sparse(), OLD, BOX, 0.5)
    assert sparse.J_after == pytest.approx(ones[0].J_after, rel=1e-12)


# -- the bound --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 0.2])
def test_the_bound_is_never_violated_and_tight_at_the_optimum(temperature):
    rng = np.random.default_rng(8)
    for _ in range(300):
        mdp, pi0 = random_mdp(rng)
        box = random_box(rng)
        best = improve(mdp, pi0, box, temperature)
        t = rng.random() ** 3  # many near the optimum, where the bound says something
        pi = (1 - t) * best.policy + t * random_policy(rng, mdp)
        found = lower_bound(mdp, pi, pi0, box, temperature)
        np.testing.assert_allclose(found.J, expected_return(mdp, pi), rtol=1e-12, atol=1e-14)
        assert found.value <= found.J + 1e-9
        assert found.value_max <= found.value + 1e-9
        assert min(found.loss, found.delta) >= 0
        there = lower_bound(mdp, best.policy, pi0, box, temperature)
        assert (there.loss, there.delta, there.delta_max) == pytest.approx((0, 0, 0), abs=1e-9)
        assert there.value == pytest.approx(best.J_after, abs=1e-9)


def test_the_bound_by_hand():
    pi, step = np.full((2, 2), 0.5), improve(TWO, OLD, BOX)
    found = lower_bound(TWO, pi, OLD, BOX)
    best, A = np.array([(0.68, 0.32), (0.64, 0.36)]), np.array([[0.4, -0.6], [-0.6, 1.4]])
    m_old, m_best, m_new = (evaluate(TWO, x).visits for x in (OLD, best, pi))
    off = np.abs(pi - best)
    assert found.loss == pytest.approx(m_old @ (np.abs(A) * off).sum(-1))
    h, h_best = (pi * A).sum(-1), (best * A).sum(-1)
    delta = (
        np.abs(m_new - m_best).sum() * np.abs(h).max()
        + np.abs(m_best - m_old).sum() * np.abs(h - h_best).max()
    )
    assert found.delta == pytest.approx(delta)
    crude = 1.4 * 9 * m_best @ off.sum(-1) + 1.4 * 90 * 0.2 * off.sum(-1).max()
    assert found.delta_max == pytest.approx(crude)
    assert found.value == pytest.approx(6 + step.promised - found.loss - delta)


def test_the_bound_without_its_error_terms_is_violated():
    """The loss alone does not pay for the change of the visits."""
    rng, broken = np.random.default_rng(9), 0
    for _ in range(300):
        mdp, pi0 = random_mdp(rng)
        found = lower_bound(mdp, random_policy(rng, mdp), pi0, BOX)
        broken += found.J_old + found.promised - found.loss > found.J + 1e-9
    assert broken > 10


# -- iteration --------------------------------------------------------------------------------------------------


def test_steps_to_close_the_gap():
    rng = np.random.default_rng(0)
    mdp = FiniteMDP(rng.dirichlet(np.full(10, 0.3), size=(10, 4)), rng.uniform(size=(10, 4)), 0.9)
    best = solve(mdp, tol=1e-10).J
    steps = [
        int(iterations_to_close(iterate(mdp, RatioBox.symmetric(eps), iterations=60), best))
        for eps in (0.1, 0.2, 0.3, 0.5)
    ]
    assert steps == [46, 22, 14, 8]


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_every_step_improves(temperature):
    rng = np.random.default_rng(10)
    for _ in range(20):
        mdp, pi = random_mdp(rng)
        box = random_box(rng)
        history = iterate(mdp, box, temperature, np.stack([pi, random_policy(rng, mdp)]), iterations=30)
        assert history.J.shape == (31, 2)
        assert history.policies.shape == (31, 2, *mdp.r.shape)
        assert (np.diff(history.J, axis=0) >= -1e-12).all()
        np.testing.assert_allclose(history.J, evaluate(mdp, history.policies).J, rtol=1e-12, atol=1e-12)


def test_iteration_reaches_the_optimum_of_an_mdp_with_an_end_and_forbidden_actions():
    mdp = make("gridworld")
    history = iterate(mdp, RatioBox.symmetric(0.5), iterations=300)
    assert history.J[-1] == pytest.approx(solve(mdp, tol=1e-10).J, abs=1e-6)
    assert (history.policies[:, ~mdp.actions] == 0).all()


def test_closing_the_gap_per_start():
    history = iterate(TWO, BOX, start=np.stack([OLD, np.full((2, 2), 0.5)]), iterations=8)
    best = solve(TWO, tol=1e-12).J
    assert iterations_to_close(history, best, 0.0).tolist() == [0, 0]
    assert iterations_to_close(history, best, 1.0).tolist() == [-1, -1]
    share = (history.J - history.J[0]) / (best - history.J[0])
    assert iterations_to_close(history, best, 0.3).tolist() == (share >= 0.3).argmax(0).tolist()
