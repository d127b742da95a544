"""Numbers worked out by hand for the two-state MDP and the three-armed bandit of arXiv:2302.01734's study.

For a trajectory, with reward-to-go Psi_t discounted from time 0 and N(s, a) the number of its decisions:
g = sum Psi_t grad log pi (GPOMDP), u = sum grad log pi, B v = g (u^T v) + sum Psi_t grad^2 log pi v.
Both are sums over state-action pairs, which is how the policy classes take them.
"""

from itertools import product

import numpy as np
import pytest

import pgtheory as pg

MDP, H, GAMMA = pg.make("two-state"), 3, 0.9
THETA = np.array([0.3, -0.2, 0.5, 0.1])
V = np.array([1.0, 0.0, -0.5, 0.25])
PROBLEM, TRUNCATED = pg.ExactProblem(MDP), pg.ExactProblem(MDP, horizon=H)
POLICY = PROBLEM.policy
PI = POLICY.probabilities(THETA)

BANDIT = pg.ExactProblem(pg.make("bandit"))
ARMS = slice(
    0, 3
)  # parameters of the state where an arm is pulled; the others belong to the end of the episode
ON, OFF = np.array([0.5, 0.0, -0.5, 0, 0, 0]), np.array([0.3, 0.1, -0.2, 0, 0, 0])

close = lambda digits: {"rtol": 0, "atol": 0.5 * 10**-digits + 1e-12}


def rewards_to_go(states, actions):
    discounted = GAMMA ** np.arange(len(states)) * MDP.r[states, actions]
    return np.cumsum(discounted[::-1])[::-1]


def pairs(states, actions, weights):
    w = np.zeros_like(MDP.r)
    np.add.at(w, (states, actions), weights)
    return w


def estimators(states, actions):
    """g, u, and the rank-one and curvature parts of B v, of one trajectory."""
    states, actions = np.array(states), np.array(actions)
    psi = rewards_to_go(states, actions)
    g = POLICY.score_sum(PI, pairs(states, actions, psi))
    u = POLICY.score_sum(PI, pairs(states, actions, 1.0))
    return g, u, g * (u @ V), POLICY.curvature_sum(PI, pairs(states, actions, psi), V)


def test_one_trajectory():
    states, actions = np.array([0, 1, 1]), np.array([1, 0, 1])
    np.testing.assert_allclose(rewards_to_go(states, actions), [0.695, 0.495, -0.405], atol=1e-15)
    g, u, rank_one, curvature = estimators(states, actions)
    np.testing.assert_allclose(g, [-0.432609, 0.432609, 0.441118, -0.441118], **close(6))
    np.testing.assert_allclose(u, [-0.622459, 0.622459, -0.197375, 0.197375], **close(6))
    assert u @ V == pytest.approx(-0.474428, abs=5e-7)
    np.testing.assert_allclose(rank_one, [0.205242, -0.205242, -0.209279, 0.209279], **close(6))
    np.testing.assert_allclose(curvature, [-0.163328, 0.163328, 0.016218, -0.016218], **close(6))
    np.testing.assert_allclose(rank_one + curvature, [0.041914, -0.041914, -0.193061, 0.193061], **close(6))


def test_the_two_ways_of_scoring_a_trajectory_agree():
    one_by_one = sum(
        p * POLICY.score(THETA, s, a) for p, s, a in zip([0.695, 0.495, -0.405], [0, 1, 1], [1, 0, 1])
    )
    np.testing.assert_allclose(estimators([0, 1, 1], [1, 0, 1])[0], one_by_one, atol=1e-15)


def test_all_64_trajectories():
    mean_g, mean_u, mean_rank_one, mean_curvature = 0.0, 0.0, 0.0, 0.0
    second, mean_return, total = 0.0, 0.0, 0.0
    for states, actions in product(product((0, 1), repeat=H), repeat=2):
        chance = MDP.start[states[0]] * np.prod([PI[s, a] for s, a in zip(states, actions)])
        chance *= np.prod([MDP.P[states[t], actions[t], states[t + 1]] for t in range(H - 1)])
        g, u, rank_one, curvature = estimators(states, actions)
        total += chance
        mean_return += chance * rewards_to_go(np.array(states), np.array(actions))[0]
        second += chance * g @ g
        mean_g, mean_u = mean_g + chance * g, mean_u + chance * u
        mean_rank_one, mean_curvature = mean_rank_one + chance * rank_one, mean_curvature + chance * curvature
    assert total == pytest.approx(1.0, abs=1e-14)
    assert mean_return == pytest.approx(0.572461, abs=5e-7)
    assert second - mean_g @ mean_g == pytest.approx(0.637502, abs=5e-7)
    np.testing.assert_allclose(mean_g, [-0.140296, 0.140296, 0.382794, -0.382794], **close(6))
    np.testing.assert_allclose(mean_u, 0.0, atol=1e-14)
    np.testing.assert_allclose(mean_curvature, [-0.107054, 0.107054, 0.128718, -0.128718], **close(6))
    np.testing.assert_allclose(
        mean_rank_one + mean_curvature, [0.062364, -0.062364, 0.025894, -0.025894], **close(6)
    )
    assert TRUNCATED.value(THETA) == pytest.approx(mean_return, abs=1e-14)
    np.testing.assert_allclose(TRUNCATED.gradient(THETA), mean_g, atol=1e-14)
    np.testing.assert_allclose(TRUNCATED.hvp(THETA, V), mean_rank_one + mean_curvature, atol=1e-14)


def test_infinite_horizon():
    assert PROBLEM.value(THETA) == pytest.approx(2.410349, abs=5e-7)
    np.testing.assert_allclose(
        PROBLEM.gradient(THETA), [-0.562146, 0.562146, 1.592948, -1.592948], **close(6)
    )
    np.testing.assert_allclose(PROBLEM.evaluation(THETA).distribution, [0.486776, 0.513224], **close(6))
    eigenvalues = np.linalg.eigvalsh(PROBLEM.fisher(THETA))
    np.testing.assert_allclose(eigenvalues, [0, 0, 0.228788, 0.246615], **close(6))
    natural = PROBLEM.natural_gradient(THETA)
    np.testing.assert_allclose(natural, [-2.457058, 2.457058, 6.459244, -6.459244], **close(6))
    by_pseudo_inverse = np.linalg.pinv(PROBLEM.fisher(THETA), rcond=1e-12) @ PROBLEM.gradient(THETA)
    np.testing.assert_allclose(natural, by_pseudo_inverse, rtol=1e-12)
    A = PROBLEM.evaluation(THETA).A
    np.testing.assert_allclose(
        natural.reshape(2, 2), (A - A.mean(-1, keepdims=True)) / (1 - GAMMA), rtol=1e-12
    )


def test_bandit():
    pi, r = BANDIT.policy.probabilities(ON)[0], BANDIT.mdp.r[0]
    np.testing.assert_allclose(pi, [0.506480, 0.307196, 0.186324], **close(6))
    assert BANDIT.value(ON) == pytest.approx(0.660078, abs=5e-7)
    gradient, hessian = BANDIT.gradient(ON), BANDIT.hessian(ON)
    np.testing.assert_allclose(gradient[ARMS], [0.172164, -0.049175, -0.122988], **close(6))
    np.testing.assert_array_equal(gradient[3:], 0.0)
    np.testing.assert_array_equal(hessian[3:], 0.0)
    np.testing.assert_allclose(hessian[0, ARMS], [-0.002231, -0.027982, 0.030213], **close(6))
    g = gradient[ARMS]
    np.testing.assert_allclose(
        hessian[ARMS, ARMS], np.diag(g) - np.outer(g, pi) - np.outer(pi, g), atol=1e-15
    )
    np.testing.assert_allclose(hessian[ARMS, ARMS], mean_hessian_estimate(pi, r), atol=1e-15)


def mean_hessian_estimate(pi, r):
    """E B of a one-step episode: sum_a pi(a) r(a) [score score^T + grad^2 log pi]."""
    scores = np.eye(3) - pi
    return sum(p * x * (np.outer(s, s) - np.diag(pi) + np.outer(pi, pi)) for p, x, s in zip(pi, r, scores))


def test_importance_weighted_gradient_of_the_bandit():
    """E_{a ~ theta'} w(a) g(a, theta) is the gradient at theta, whichever theta' drew the arms."""
    for at, drawn_at, expected in [
        (OFF, ON, [0.172716, -0.027385, -0.145331]),
        (ON, OFF, [0.172164, -0.049175, -0.122988]),
    ]:
        pi, behaviour = (BANDIT.policy.probabilities(theta)[0] for theta in (at, drawn_at))
        weighted = behaviour * (pi / behaviour) * BANDIT.mdp.r[0]
        estimate = BANDIT.policy.score_sum(BANDIT.policy.probabilities(at), np.stack([weighted, np.zeros(3)]))
        np.testing.assert_allclose(estimate[ARMS], expected, **close(6))
        np.testing.assert_allclose(estimate, BANDIT.gradient(at), atol=1e-15)


def test_mean_hessian_along_a_segment_is_the_change_of_the_gradient():
    """What makes the Hessian correction of (N-)HARPG unbiased: E_q B(theta_q) (theta - theta') for q uniform."""
    q, weights = np.polynomial.legendre.leggauss(12)
    between = OFF + (q[:, None] + 1) / 2 * (ON - OFF)
    integral = weights / 2 @ BANDIT.hvp(between, ON - OFF)
    np.testing.assert_allclose(integral[ARMS], [-0.000552, -0.021791, 0.022343], **close(6))
    np.testing.assert_allclose(integral, BANDIT.gradient(ON) - BANDIT.gradient(OFF), atol=1e-15)


def test_differences_of_the_gradient_are_the_hessian():
    central = (TRUNCATED.gradient(THETA + 1e-5 * V) - TRUNCATED.gradient(THETA - 1e-5 * V)) / 2e-5
    np.testing.assert_allclose(TRUNCATED.hvp(THETA, V), central, atol=1e-9)
