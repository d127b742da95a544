"""Surrogates against the papers' numbers, against NumPy, and against finite differences."""

import numpy as np
import pytest
import torch
from batches import SURROGATES, decisions, random, reference, slopes, target, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import (
    BoundedRatio,
    Clip,
    ImportanceWeighted,
    target_ratio,
)
from pgtheory.objectives.surrogates.bounded_ratio import DIVERGENCES

by_name = pytest.mark.parametrize("name", SURROGATES)
seeds = st.integers(0, 2**32 - 1)


def examples(n):
    return settings(max_examples=n, deadline=None)


# -- every surrogate ----------------------------------------------------------------------------------------


@by_name
@given(seed=seeds)
@examples(10)
def test_loss_and_slope_are_the_closed_forms(name, seed):
    batch = random(np.random.default_rng(seed))
    rho, A, centred = (x.detach().numpy() for x in (batch.ratio, batch.advantage, batch.centred))
    loss, slope = reference(name, rho, A, centred)
    np.testing.assert_allclose(SURROGATES[name](batch).detach().numpy(), loss, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(slopes(SURROGATES[name], batch), slope, rtol=1e-12, atol=1e-13)


@by_name
def test_gradient_is_the_central_difference(name):
    batch, h = random(np.random.default_rng(1)), 1e-6
    for i in range(12):
        step = h * torch.nn.functional.one_hot(torch.tensor(i), 12)
        ahead, behind = (
            SURROGATES[name](batch.replace(log_prob=batch.log_prob + s)).sum().item() for s in (step, -step)
        )
        assert slopes(SURROGATES[name], batch)[i] == pytest.approx((ahead - behind) / (2 * h), abs=1e-7)


# -- PPO's clip ---------------------------------------------------------------------------------------------


@given(seed=seeds, epsilon=st.floats(0.01, 0.99))
@examples(50)
def test_clip_is_a_one_sided_regression_onto_the_box(seed, epsilon):
    """brrl.md: loss = l' - A t with t = 1 + eps sign A, an exact identity on both sides of 1."""
    rng = np.random.default_rng(seed)
    A, rho = rng.normal(size=64), np.exp(rng.normal(size=64))
    t = 1 + epsilon * np.sign(A)
    hinge = np.where((rho - t) * A <= 0, np.abs(A) * np.abs(rho - t), 0.0)
    loss = Clip(epsilon)(decisions(rho, A)).detach().numpy()
    np.testing.assert_allclose(loss, hinge - A * t, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("A", "rho", "ppo", "bpo"),
    [(2, 1, -2, -2), (2, 1.3, 0, 2), (2, 0.7, -2, -2), (-1, 1, 1, 1), (-1, 0.7, 0, -1)],
)
def test_slopes_in_the_ratio(A, rho, ppo, bpo):
    """brrl.md, check 4."""
    batch = decisions([rho], [A])
    for surrogate, slope in ((Clip(0.2), ppo), (BoundedRatio(0.2, temperature=0.0), bpo)):
        assert slopes(surrogate, batch)[0] / rho == pytest.approx(slope, abs=1e-12)


def test_dual_clip_bounds_the_loss_of_bad_actions_only():
    A, rho = [-1.0, -1.0, -1.0, 1.0], [1.4, 1.6, 30.0, 30.0]
    batch = decisions(rho, A)
    assert Clip(0.2, dual=1.5)(batch).tolist() == pytest.approx([1.4, 1.5, 1.5, -1.2])
    assert Clip(0.2)(batch).tolist() == pytest.approx([1.4, 1.6, 30.0, -1.2])
    assert slopes(Clip(0.2, dual=1.5), batch) == pytest.approx([1.4, 0, 0, 0])


def test_far_away_the_clip_is_the_plain_surrogate():
    batch = random(np.random.default_rng(2))
    assert torch.equal(Clip(1.0, 1e9)(batch), ImportanceWeighted()(batch))


# -- bounded ratio ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("temperature", "targets", "loss"),
    [
        (0.001, (1.3, 0.7, 0.7, 0.700027), 0.127999),
        (0.1, (1.299799, 0.861365, 0.700547, 0.985012), 0.110309),
    ],
)
def test_minibatch_of_bpo(temperature, targets, loss):
    """brrl.md, check 6."""
    R = tensor(2, 1.1, 0.5, 1.19)
    batch = decisions([1, 1.25, 0.9, 1], R - 1, median_advantage=R - 1.2)
    surrogate = BoundedRatio(0.3, temperature=temperature)
    assert surrogate.target(batch).tolist() == pytest.approx(targets, abs=1e-6)
    assert surrogate(batch).mean().item() == pytest.approx(loss, abs=1e-6)


def test_minibatch_of_gbpo():
    """brrl.md, check 7: the loss of the official (median) target, and targets computed elsewhere."""
    r = tensor(1, 1, 0, 0, 0, 0, 1, 0)
    A, centred = (r - r.mean()) / (r.std() + 1e-6), (r - r.median()) / (r.std() + 1e-6)
    batch = decisions([1, 1.1, 1, 0.9, 1.05, 0.7, 1.3, 1], A, median_advantage=centred)
    surrogate = BoundedRatio(0.2, temperature=1e-4)
    assert A[[0, 2]].tolist() == pytest.approx([1.207612, -0.724567], abs=1e-5)
    assert surrogate.target(batch).tolist() == pytest.approx(np.where(r == 1, 1.2, 1.0))
    assert surrogate(batch).mean().item() == pytest.approx(0.101138, abs=1e-6)
    asymmetric = BoundedRatio(0.2, 0.28, temperature=1e-4)
    assert asymmetric.target(batch).tolist() == pytest.approx(np.where(r == 1, 1.28, 1.04))
    given = torch.where(r == 1, 1.2, 0.88).to(r.dtype)
    assert torch.equal(surrogate.target(batch.replace(target=given)), given)
    assert surrogate(batch.replace(target=given)).tolist() == pytest.approx(
        (A.abs() * (batch.ratio - given).abs()).tolist()
    )


def test_majority_right_and_groups_of_equals():
    """brrl.md, check 7, continued."""
    r = tensor(1, 1, 1, 1, 1, 0, 0, 0)
    batch = decisions(np.ones(8), r - r.mean(), median_advantage=r - r.median())
    surrogate = BoundedRatio(0.2, temperature=1e-4)
    assert surrogate.target(batch).tolist() == pytest.approx(np.where(r == 1, 1.0, 0.8))
    equal = decisions(np.linspace(0.5, 2, 8), np.zeros(8))
    assert not surrogate(equal).any()
    assert not slopes(surrogate, equal).any()


def test_first_gradient_of_logits():
    """brrl.md, check 5: Q = (1, 2, 4) under (.2, .5, .3); the box programme's target is (.8, .96, 1.2)."""
    pi, Q = tensor(0.2, 0.5, 0.3), tensor(1, 2, 4)
    A = Q - pi @ Q

    def gradient(surrogate, **fields):
        logits = pi.log().requires_grad_()
        batch = decisions(np.ones(3), A, weight=pi, **fields).replace(
            log_prob=logits.log_softmax(-1), log_prob_old=logits.log_softmax(-1)
        )
        loss = (surrogate(batch) * pi).sum()
        return torch.autograd.grad(loss, logits)[0].tolist()

    bounded = BoundedRatio(0.2, temperature=0.0)
    expected = pytest.approx([0.28, 0.2, -0.48], abs=1e-12)
    assert gradient(Clip(0.2)) == expected
    assert gradient(ImportanceWeighted()) == expected
    assert gradient(bounded) == expected
    assert gradient(bounded, target=tensor(0.8, 0.96, 1.2)) == expected
    assert gradient(bounded, median_advantage=Q - 2) == pytest.approx([0.32, 0.1, -0.42], abs=1e-12)


@pytest.mark.parametrize("divergence", ["atv", "tv", "log-tv", "mse"])
def test_no_slope_at_the_target(divergence):
    batch = decisions([1.0, 1.0], [2.0, -1.0], median_advantage=tensor(0, 0))
    surrogate = BoundedRatio(0.2, temperature=1e-3, divergence=divergence)
    assert surrogate(batch).tolist() == [0, 0]
    assert slopes(surrogate, batch).tolist() == [0, 0]


@given(seed=seeds, low=st.floats(0.01, 0.99), high=st.floats(0.01, 3), temperature=st.floats(0, 10))
@examples(50)
def test_targets_stay_in_the_box_and_are_those_of_numpy(seed, low, high, temperature):
    centred = np.random.default_rng(seed).normal(size=16)
    for up in (low, high):
        found = target_ratio(torch.as_tensor(centred), low, up, temperature).numpy()
        assert (found >= 1 - low - 1e-12).all()
        assert (found <= 1 + up + 1e-12).all()
        if temperature > 1e-3:
            np.testing.assert_allclose(found, target(centred, low, up, temperature), rtol=0, atol=1e-12)
        assert (np.diff(found[np.argsort(centred)]) >= 0).all()


def test_limits_of_the_temperature():
    centred = tensor(-3, -1e-3, 0, 1e-3, 3)
    assert target_ratio(centred, 0.3, 0.3, 0.0).tolist() == [0.7, 0.7, 1, 1.3, 1.3]
    assert target_ratio(centred, 0.2, 0.3, 0.0).tolist() == pytest.approx([0.8, 0.8, 1.05, 1.3, 1.3])
    assert target_ratio(centred, 0.3, 0.3, 1e12).tolist() == pytest.approx([1] * 5, abs=1e-11)
    cold = target_ratio(centred, 0.3, 0.3, 1e-320)
    assert cold.tolist() == [0.7, 0.7, 1, 1.3, 1.3]
    assert target_ratio(centred, 0.3, 0.3, 1e-3, limit=10)[0].item() == pytest.approx(1 - 0.3 * np.tanh(5))
    # the official form is at 1 where the advantage is temperature * log(low / high)
    assert target_ratio(tensor(0.5 * np.log(0.2 / 0.28)), 0.2, 0.28, 0.5).item() == pytest.approx(1)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@given(seed=seeds)
@examples(25)
def test_divergences_vanish_at_the_target_only(divergence, seed):
    batch = random(np.random.default_rng(seed))
    surrogate = BoundedRatio(0.2, temperature=0.5, divergence=divergence)
    there = batch.replace(log_prob=batch.log_prob_old + surrogate.target(batch).log())
    assert surrogate(batch).min() > 0
    np.testing.assert_allclose(surrogate(there).numpy(), 0, atol=1e-15)


@pytest.mark.parametrize("divergence", ["rkl", "fkl", "js", "tv"])
def test_expected_divergences_are_those_of_distributions(divergence):
    """Under normalised policies what was added per decision has mean zero."""
    rng = np.random.default_rng(3)
    old, new, best = rng.dirichlet(np.ones(6), 3)
    middle = (new + best) / 2

    def kl(p, q):
        return sum(a * np.log(a / b) for a, b in zip(p, q))

    wanted = {
        "rkl": kl(new, best),
        "fkl": kl(best, new),
        "js": (kl(new, middle) + kl(best, middle)) / 2,
        "tv": abs(new - best).sum(),
    }
    batch = decisions(new / old, np.zeros(6), target=torch.as_tensor(best / old))
    found = BoundedRatio(0.2, divergence=divergence)(batch).detach().numpy() @ old
    assert found == pytest.approx(wanted[divergence], rel=1e-12)


@pytest.mark.parametrize("divergence", ["fkl", "js", "atv", "tv", "mse"])
def test_targets_of_zero_are_no_trouble(divergence):
    """The cross-entropy method's target gives the actions outside the elite nothing."""
    batch = decisions([0.5, 1.5], [-1.0, 1.0], target=tensor(0, 2.5))
    surrogate = BoundedRatio(0.2, divergence=divergence)
    zero = {"fkl": 0.5, "js": 0.25 * np.log(2), "atv": 0.5, "tv": 0.5, "mse": 0.25}[divergence]
    assert surrogate(batch)[0].item() == pytest.approx(zero)
    assert np.isfinite(slopes(surrogate, batch)).all()


def test_added_total_variation():
    batch = random(np.random.default_rng(4))
    weighted, plain = BoundedRatio(temperature=0.5), BoundedRatio(temperature=0.5, divergence="tv")
    both = BoundedRatio(temperature=0.5, tv_weight=0.3)(batch)
    assert both.tolist() == pytest.approx((weighted(batch) + 0.3 * plain(batch)).tolist())
