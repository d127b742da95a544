"""Decoupled PPO and the average of weights that stands in for the old policy."""

import numpy as np
import pytest
import torch
from batches import slopes, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import (
    Clip,
    Decisions,
    Decoupled,
    ImportanceWeighted,
    ProximalAverage,
    beta_of_window,
    weighted_mean,
    weighted_sum,
)

torch.set_num_threads(1)
seeds = st.integers(0, 2**32 - 1)
PI, PROX, MU = tensor(0.28, 0.5, 0.2, 0.6), tensor(0.25, 0.5, 0.3, 0.4), tensor(0.2, 0.6, 0.25, 0.5)
A = tensor(1, -1, -2, 0.5)


def batch_of(pi, prox, mu, advantage=A, **fields):
    return Decisions(pi.log().requires_grad_(), mu.log(), advantage, log_prob_prox=prox.log(), **fields)


def objective(surrogate, *policies):
    return (-surrogate(batch_of(*policies))).tolist()


def test_worked_numbers():
    """missing-old-logits.md, check 1: decoupled, coupled (the sampler as proximal policy), proximal only."""
    found = objective(Decoupled(), PI, PROX, MU)
    assert found == pytest.approx([1.4, -0.833333, -1.92, 0.48], abs=1e-6)
    assert np.mean(found) == pytest.approx(-0.218333, abs=1e-6)
    found = objective(Decoupled(), PI, MU, MU)
    assert found == pytest.approx([1.2, -0.833333, -1.6, 0.6], abs=1e-6)
    assert np.mean(found) == pytest.approx(-0.158333, abs=1e-6)
    assert objective(Decoupled(weighted=False), PI, PROX, MU) == pytest.approx(
        [1.12, -1, -1.6, 0.6], abs=1e-6
    )


def test_mask_and_active_share():
    """missing-old-logits.md, check 2: a quarter is active, less than 0.9, so the average starts over."""
    surrogate, batch = Decoupled(discrepancy=1.21), batch_of(PI, PROX, MU)
    assert surrogate.keeps(batch).tolist() == [0, 1, 1, 0]
    assert surrogate.active(batch).tolist() == [0, 1, 0, 0]
    assert Decoupled().active(batch).tolist() == [1, 1, 0, 0]
    share = weighted_mean(surrogate.active(batch), batch.weights)
    assert share.item() == 0.25 < 0.9
    assert slopes(surrogate, batch) == pytest.approx([0, 0.833333, 0, 0], abs=1e-6)
    assert surrogate(batch)[[0, 3]].tolist() == [0, 0]
    kept = batch.replace(weight=batch.weights * surrogate.keeps(batch))
    assert weighted_mean(surrogate(kept), kept.weights).item() == pytest.approx(
        (0.833333 + 1.92) / 2, abs=1e-6
    )


def test_average_of_weights():
    """missing-old-logits.md, check 3."""
    beta = beta_of_window(4)
    assert beta == pytest.approx(2 / 3)
    assert beta / (1 - beta) == pytest.approx(2)
    average, found = ProximalAverage(tensor(0)), [0.0]
    for theta in (1, 2, 3, 4):
        average = average.update(tensor(theta), beta)
        found.append(average.theta.item())
    assert found == pytest.approx([0, 0.6, 1.263158, 1.984615, 2.758294], abs=1e-6)
    factors = beta ** np.arange(4, -1, -1.0)
    assert found[-1] == pytest.approx(factors @ np.arange(5) / factors.sum())
    assert average.weight == pytest.approx(factors.sum())


def test_average_lags_behind_a_ramp():
    """missing-old-logits.md, check 3: 8 steps behind at a factor of 8/9."""
    average = ProximalAverage(tensor(0))
    for theta in range(1, 400):
        average = average.update(tensor(theta), 8 / 9)
    assert 399 - average.theta.item() == pytest.approx(8, abs=1e-6)
    assert beta_of_window(16) == pytest.approx(8 / 9)


def test_starting_over_is_exact():
    rng = np.random.default_rng(0)
    average = ProximalAverage(torch.as_tensor(rng.normal(size=1000), dtype=torch.float32))
    for _ in range(3):
        average = average.update(torch.as_tensor(rng.normal(size=1000) * 1e3, dtype=torch.float32), 0.8)
    theta = torch.as_tensor(rng.normal(size=1000), dtype=torch.float32)
    again = average.update(theta, 0.0)
    assert torch.equal(again.theta, theta)
    assert again.weight == 1
    assert torch.equal(again.update(theta, 0.7).theta, theta)  # the average of equals is exactly theirs
    assert not average.update(theta.requires_grad_(), 0.5).theta.requires_grad


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_special_stand_ins(seed):
    """missing-old-logits.md, checks 4 and 6."""
    rng = np.random.default_rng(seed)
    log_pi, log_prox, log_mu = (torch.as_tensor(0.4 * rng.normal(size=8)) for _ in range(3))
    advantage = torch.as_tensor(rng.normal(size=8))
    batch = Decisions(log_pi.requires_grad_(), log_mu, advantage, log_prob_prox=log_prox)

    def both(surrogate, **fields):
        chosen = batch.replace(**fields)
        return np.concatenate([surrogate(chosen).detach().numpy(), slopes(surrogate, chosen)])

    same = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(both(Decoupled(), log_prob_prox=log_mu), both(Clip(0.2)), **same)
    np.testing.assert_allclose(
        both(Decoupled(0.01), log_prob_prox=log_pi.detach())[8:], both(ImportanceWeighted())[8:], **same
    )
    wide = Decoupled(1e9)
    np.testing.assert_allclose(both(wide), both(ImportanceWeighted()), **same)
    np.testing.assert_allclose(both(Decoupled(0.2, 1.0), log_prob_prox=log_mu), both(Clip(0.2)), **same)
    # the mask only masks
    masked, kept = Decoupled(0.2, 1.3), Decoupled(0.2, 1.3).keeps(batch).numpy()
    np.testing.assert_allclose(both(masked), both(Decoupled(0.2)) * np.tile(kept, 2), **same)
    assert kept.tolist() == (abs(log_prox - log_mu) <= np.log(1.3)).tolist()
    np.testing.assert_array_equal(masked.active(batch), both(masked)[8:] != 0)


@pytest.mark.parametrize("seed", [0, 1])
def test_unclipped_gradient_is_unbiased_for_any_stand_in(seed):
    """missing-old-logits.md, check 6, by enumeration of five actions."""
    rng = np.random.default_rng(seed)
    pi, prox, mu = (torch.as_tensor(x) for x in rng.dirichlet(np.ones(5), 3))
    advantage = torch.as_tensor(rng.normal(size=5))
    logits = pi.log().requires_grad_()
    batch = Decisions(logits.log_softmax(-1), mu.log(), advantage, weight=mu, log_prob_prox=prox.log())
    loss = weighted_sum(Decoupled(1e9, cap=1e12)(batch), batch.weights)
    (found,) = torch.autograd.grad(loss, logits)
    np.testing.assert_allclose(found, -pi * (advantage - pi @ advantage), rtol=1e-10)


@pytest.mark.parametrize(
    ("alpha", "linear", "clip", "mask"),
    [
        (0.5, False, (0.64, 1.44), (0.444444, 2.25)),
        (0.25, False, (0.4096, 2.0736), (0.582387, 1.717071)),
        (0.5, True, (0.666667, 1.5), (0.333333, 2)),
        (0.75, True, (0.75, 1.285714), (0, 3)),
    ],
)
def test_interpolated_stand_ins_only_move_the_bounds(alpha, linear, clip, mask):
    """missing-old-logits.md, check 5 (Prop. 1): clip and mask are intervals of the total ratio alone."""
    edges = torch.tensor([x * f for x in (*clip, *mask) for f in (1 - 1e-5, 1 + 1e-5)], dtype=torch.float64)
    r = torch.cat([torch.linspace(0.05, 4, 200).double(), edges[edges > 0]])
    r = r[(r.log().abs() > 1e-9) & ((r[:, None] - torch.tensor([*clip, *mask])).abs().amin(-1) > 2e-6)]
    mu = torch.full_like(r, 0.1)
    pi = r * mu
    prox = alpha * mu + (1 - alpha) * pi if linear else mu**alpha * pi ** (1 - alpha)
    for sign, inside in ((1.0, r < clip[1]), (-1.0, r > clip[0])):
        batch = batch_of(pi, prox, mu, torch.full_like(r, sign))
        assert torch.equal(Decoupled(0.2).active(batch), inside.double())
        assert torch.equal(torch.as_tensor(slopes(Decoupled(0.2), batch) != 0), inside)
    kept = Decoupled(0.2, 1.5).keeps(batch)
    assert torch.equal(kept, ((r > mask[0]) & (r < mask[1])).double())


def test_cap_bounds_the_total_ratio():
    """The weight is at most the cap, and the mask looks at what the sampler really said."""
    pi, prox, mu = tensor(0.9, 0.9), tensor(0.9, 3e-4), tensor(1e-4, 1e-4)
    batch = batch_of(pi, prox, mu, tensor(1, -1))
    assert (-Decoupled(cap=50.0)(batch)).tolist() == pytest.approx([50, -50])
    assert (-Decoupled(cap=1e9)(batch)).tolist() == pytest.approx([9000, -9000])
    assert Decoupled(discrepancy=2.0, cap=1e-3).keeps(batch).tolist() == [0, 0]
    assert Decoupled(discrepancy=4.0).keeps(batch).tolist() == [0, 1]


def test_what_the_mask_drops_may_overflow():
    """A proximal policy that is impossibly far away leaves neither a loss nor a NaN behind."""
    log_prob = torch.tensor([-1.0, -1.0, -1.0, -1.0], requires_grad=True)
    prox = torch.tensor([-1.0, 500.0, -500.0, float("nan")])
    batch = Decisions(
        log_prob, torch.full((4,), -1.0), torch.tensor([1.0, 1.0, -1.0, 1.0]), log_prob_prox=prox
    )
    loss = Decoupled(discrepancy=2.0)(batch)
    assert loss.tolist() == pytest.approx([-1, 0, 0, 0])
    assert torch.autograd.grad(loss.sum(), log_prob)[0].tolist() == pytest.approx([-1, 0, 0, 0])
    far = torch.tensor([-300.0, -1.0])
    batch = Decisions(log_prob[:2], torch.full((2,), -1.0), torch.tensor([1.0, -1.0]), log_prob_prox=far)
    (slope,) = torch.autograd.grad(Decoupled()(batch).sum(), log_prob)
    assert torch.isfinite(slope).all()


def test_padding_and_vmap():
    rng = np.random.default_rng(2)
    log_pi, prox, mu, advantage = (torch.as_tensor(0.4 * rng.normal(size=(3, 5))) for _ in range(4))
    weight = torch.as_tensor(rng.integers(0, 2, (3, 5)) * 1.0)
    surrogate = Decoupled(0.2, 1.4)

    def loss(log_pi, prox, mu, advantage, weight):
        batch = Decisions(log_pi, mu, advantage, weight=weight, log_prob_prox=prox)
        return weighted_mean(surrogate(batch), batch.weights)

    clean = torch.func.vmap(torch.func.grad(loss))(log_pi, prox, mu, advantage, weight)
    for i in range(3):
        single = torch.func.grad(loss)(log_pi[i], prox[i], mu[i], advantage[i], weight[i])
        np.testing.assert_allclose(clean[i], single, rtol=1e-12, atol=1e-15)
    junk = [torch.where(weight > 0, x, torch.nan) for x in (log_pi, prox, mu, advantage)]
    assert torch.equal(torch.func.vmap(torch.func.grad(loss))(*junk, weight), clean)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Decoupled(0.0), "epsilon"),
        (lambda: Decoupled(discrepancy=0.9), "discrepancy"),
        (lambda: Decoupled(cap=0.0), "cap"),
        (lambda: Decoupled()(batch_of(PI, PROX, MU).replace(log_prob_prox=None)), "log_prob_prox"),
        (lambda: Decoupled().keeps(batch_of(PI, PROX, MU).replace(log_prob_prox=None)), "log_prob_prox"),
        (lambda: ProximalAverage(A).update(A, 1.0), "beta"),
        (lambda: ProximalAverage(A).update(A, -0.1), "beta"),
        (lambda: beta_of_window(-1), "window"),
    ],
)
def test_refused(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()
