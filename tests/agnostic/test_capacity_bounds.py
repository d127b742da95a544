"""Bounds as functions: the numbers of the notes, hand computations, monotonicity, and what they must dominate."""

from math import exp, inf, log, sqrt

import numpy as np
import pytest
from layered_examples import random_mdp, worked_mdp

from pgtheory.agnostic import bounds, closed_forms, singletons, spanning_capacity, vc_dimension


def test_numbers_of_the_notes():
    assert bounds.estimation_samples(49, 0.1, 0.05) == 1517
    assert bounds.psdp_lock_success(0.01, 60, 10) == pytest.approx(0.009829, abs=5e-7)
    assert bounds.psdp_lock_success(0.01, 1000, 10) == pytest.approx(0.967224, abs=5e-7)
    assert bounds.psdp_lock_success(1 / 3, 60, 8) == pytest.approx(0.999929, abs=5e-7)
    assert bounds.psdp_lock_success(0.05, 100, 10) == pytest.approx(0.666506, abs=5e-7)
    amplified = [bounds.psdp_amplification(1e-3, H) for H in range(2, 10)]
    assert amplified == pytest.approx([0.006, 0.012, 0.024, 0.048, 0.096, 0.192, 0.384, 0.768])


def test_hand_computations():
    layers = spanning_capacity(singletons(8, 6)).by_layer
    assert sum(layers) == 27
    assert bounds.trajectory_tree_calls(layers, 49, 0.1, 0.05) == 27 * 1517
    assert bounds.one_by_one(49, 0.1, 0.05) == 49 * 1517
    n = bounds.uniform_exploration(2, 4, 10, 0.2, 0.1)
    assert n == pytest.approx((2 * 16 / 0.01 + 2 * 16 / 0.3) * log(200), abs=1)
    assert bounds.no_free_lunch_order(2, 3, 100, 1000, 0.1, exp(-1)) == pytest.approx(800)
    assert bounds.no_free_lunch_order(2, 30, 3, 1000, 0.1, exp(-1)) == pytest.approx(600)
    assert bounds.generative_lower_order(7, 0.1, exp(-1)) == pytest.approx(700)
    assert bounds.online_lower_order(2, 30, 0.1) == pytest.approx(100)
    assert bounds.online_lower_order(6, 30, 1 / 16) == pytest.approx(2**10)
    assert bounds.popler_order(5, 3, 2, 4, 10, 0.5, 0.1) == pytest.approx(
        (4 + 4 * 64 * 5 * 16) * 9 * log(100)
    )
    assert bounds.popler_petals(5, 2, 4, 0.5) == pytest.approx(960)
    assert bounds.lock_success(0, 4) == 1 / 16
    assert bounds.lock_success(10**6, 4) == 1
    assert bounds.psdp_suboptimality(3, 4, 0.01, 0.02) == pytest.approx(0.36)
    t = 0.1 / (2 * 3 * 4)
    assert bounds.psdp_episodes(3, 2, 4, 16, 0.1, 0.05) == 4 * np.ceil((4 / t**2 + 4 / (3 * t)) * log(2560))
    assert bounds.cpi_improvement(0.1, 3, 0.5) == pytest.approx(0.1**2 / (4 * 3 * 2 * 0.5))
    assert bounds.cpi_improvement(0.1, 1, 0.5) == pytest.approx(0.1)
    assert bounds.cpi_improvement(-0.1, 3, 0.5) == 0
    assert bounds.cpi_iterations(0.1, 3, 0.5) == pytest.approx(1200)
    assert bounds.cpi_iterations(0.1, 1, 0.5) == 1
    assert bounds.realizable_reset_order(9, pushforward=True) == pytest.approx(exp(3))
    assert bounds.realizable_reset_order(9, pushforward=False) == pytest.approx(exp(9))
    assert bounds.emulator_error(4, 2, 2, 12, 40, 0.05) == pytest.approx(
        2 * sqrt(log(2 * 4 * 48 / 0.05) / 80)
    )
    assert closed_forms.natarajan_policies(2, 5, 3) == 25 * 81


def test_natarajan_counts_the_policies():
    policies = singletons(3, 3)
    assert len(policies) <= closed_forms.natarajan_policies(vc_dimension(policies), 9, 2)


def test_enough_estimates_are_enough():
    """Hoeffding's number of exact returns of one policy: the share of bad estimates is below delta."""
    mdp, policies = worked_mdp(), singletons(2, 2)
    values = mdp.values(policies.actions)
    n = bounds.estimation_samples(len(policies), 0.2, 0.1)
    rng = np.random.default_rng(0)
    means = rng.binomial(n, np.tile(values, (2000, 1))) / n
    assert (np.abs(means - values).max(1) > 0.1).mean() <= 0.1


def test_psdp_is_never_worse_than_its_bound():
    """Non-stationary policies greedy up to an error at each layer, on random MDPs."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        mdp = random_mdp(rng, (3, 3, 3))
        mu = [np.full(3, 1 / 3)] * 3
        policy = [rng.integers(2, size=(1, 3)) for _ in range(3)]
        Q = mdp.evaluate(policy).Q
        losses = [(mu[h] * (Q[h][0].max(-1) - Q[h][0][np.arange(3), policy[h][0]])).sum() for h in range(3)]
        best = mdp.optimal()[0][0] @ mdp.start
        assert best - mdp.values(policy)[0] <= bounds.psdp_suboptimality(3.0, 3, max(losses), 0.0) + 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bounds.estimation_samples(0, 0.1, 0.1), "policies must be at least 1"),
        (lambda: bounds.estimation_samples(3, 0.0, 0.1), "epsilon must be positive"),
        (lambda: bounds.estimation_samples(3, 1.0, 0.1), r"epsilon must be in \(0, 1\)"),
        (lambda: bounds.estimation_samples(3, 0.1, 1.5), r"delta must be in \(0, 1\)"),
        (lambda: bounds.psdp_lock_success(1.5, 3, 3), "p must be a probability"),
        (lambda: bounds.psdp_suboptimality(inf, 3, 0, 0), "concentrability must be"),
        (lambda: bounds.online_lower_order(3, 4, 0.1), "stated for"),
        (lambda: bounds.online_lower_order(1, 4, 0.1), "ell must be at least 2"),
        (lambda: bounds.trajectory_tree_calls([2, 0], 3, 0.1, 0.1), r"capacities\[1\] must be at least 1"),
        (lambda: closed_forms.tons_capacity(-1, 3), "ell must be at least 0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
