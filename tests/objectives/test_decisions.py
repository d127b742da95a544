"""A mask is a weight: padding, masking, splitting, precision and transforms of whole batches."""

import numpy as np
import pytest
import torch
from batches import SURROGATES, decisions, random, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import GAE, BoundedRatio, Clip, Decisions, Recipe, weighted_mean, weighted_sum

by_name = pytest.mark.parametrize("name", SURROGATES)
FIELDS = ("log_prob", "log_prob_old", "advantage", "median_advantage", "target")
EPSILON = {"float32": 1e-5, "bfloat16": 0.05}


def loss_and_gradient(surrogate, batch, aggregate=weighted_mean):
    log_prob = batch.log_prob.detach().requires_grad_()
    loss = aggregate(surrogate(batch.replace(log_prob=log_prob)), batch.weights)
    return loss.item(), torch.autograd.grad(loss, log_prob)[0]


def tokens(rng, mask):
    """Completions [B, T] with a mask, and garbage where it is 0."""
    batch = random(rng, mask.shape)
    return batch.replace(
        target=torch.as_tensor(rng.uniform(0.5, 1.5, mask.shape)), weight=torch.as_tensor(mask)
    )


def spoil(batch, value):
    """The same batch with ``value`` wherever the weight is 0."""
    fill = {n: torch.where(batch.weight > 0, getattr(batch, n), value).detach() for n in FIELDS}
    return batch.replace(**fill)


@by_name
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_mask_is_a_concatenation(name, seed):
    """[B, T] with a mask has the loss and the gradients of the unmasked tokens in a row."""
    rng = np.random.default_rng(seed)
    mask = rng.random((3, 5)) < 0.7
    mask[0, 0] = True
    batch = tokens(rng, mask)
    row = Decisions(*(getattr(batch, n)[batch.weight > 0].detach() for n in FIELDS))
    loss, gradient = loss_and_gradient(SURROGATES[name], batch)
    wanted, slopes = loss_and_gradient(SURROGATES[name], row)
    assert loss == pytest.approx(wanted, rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(gradient[batch.weight > 0], slopes, rtol=1e-12, atol=1e-14)
    assert not gradient[batch.weight == 0].any()


@by_name
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, -torch.inf, 1e300])
def test_padding_may_hold_anything(name, garbage):
    mask = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], bool)
    batch = tokens(np.random.default_rng(0), mask)
    loss, gradient = loss_and_gradient(SURROGATES[name], batch)
    with torch.autograd.set_detect_anomaly(True):
        spoilt, slopes = loss_and_gradient(SURROGATES[name], spoil(batch, torch.tensor(garbage).double()))
    assert spoilt == loss
    assert torch.equal(slopes, gradient)
    assert not SURROGATES[name](batch)[~torch.as_tensor(mask)].any()


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32, torch.float64])
def test_masks_of_any_type(dtype):
    mask = torch.tensor([1, 0, 1, 1])
    batch = random(np.random.default_rng(0), (4,), weight=mask.to(dtype))
    wanted = Clip(0.2)(batch)[mask > 0].mean().item()
    assert Recipe(GAE(), Clip(0.2)).loss(batch).item() == pytest.approx(wanted)
    assert batch.weights.is_floating_point()


def test_forbidden_actions():
    """Log-probability -inf and weight 0: a finite loss, a finite gradient in the logits."""
    logits = tensor(0.3, -1, -torch.inf).requires_grad_()
    log_prob = logits.log_softmax(-1)
    batch = Decisions(log_prob, log_prob - tensor(0.1, -0.2, 0), tensor(1, -1, 0), weight=tensor(0.7, 0.3, 0))
    for surrogate in SURROGATES.values():
        loss = weighted_sum(surrogate(batch), batch.weights)
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert gradient[2] == 0


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_splitting_a_batch_changes_nothing(sizes, seed):
    """Means of parts, each times its weights, add up to the mean of the whole; sums add up as they are."""
    rng = np.random.default_rng(seed)
    losses, weights = (torch.as_tensor(rng.exponential(size=sum(sizes))) for _ in range(2))
    parts = list(zip(losses.split(sizes), weights.split(sizes), strict=True))
    whole = weighted_mean(losses, weights).item()
    assert sum(weighted_mean(l, w) * w.sum() for l, w in parts).item() == pytest.approx(
        whole * weights.sum().item()
    )
    assert sum(weighted_sum(l, w) for l, w in parts).item() == pytest.approx(
        weighted_sum(losses, weights).item()
    )
    assert whole == pytest.approx(np.average(losses.numpy(), weights=weights.numpy()))
    assert weighted_mean(losses, 3 * weights).item() == pytest.approx(whole)


def test_a_batch_that_is_masked_altogether_teaches_nothing():
    batch = random(np.random.default_rng(0), (4,), weight=torch.zeros(4))
    loss, gradient = loss_and_gradient(Clip(0.2), batch)
    assert loss == 0
    assert not gradient.any()


def test_only_the_log_probability_learns():
    names = ("log_prob_old", "advantage", "median_advantage", "target", "weight")
    log_prob = tensor(-1, -2).requires_grad_()
    kept = {name: tensor(0.5, 1.5).requires_grad_() for name in names}
    for chosen in (kept, {n: t for n, t in kept.items() if n != "target"}):
        batch = Decisions(log_prob, **chosen)
        for surrogate in SURROGATES.values():
            weighted_mean(surrogate(batch), batch.weights).backward()
    assert log_prob.grad is not None
    assert all(t.grad is None for t in kept.values())


def test_median_advantages_are_optional():
    batch = random(np.random.default_rng(0))
    surrogate = BoundedRatio(temperature=0.5)
    mean = batch.replace(median_advantage=None)
    assert torch.equal(mean.centred, batch.advantage)
    assert torch.equal(
        surrogate.target(mean), surrogate.target(batch.replace(median_advantage=batch.advantage))
    )
    assert torch.equal(batch.centred, batch.median_advantage)
    assert not torch.equal(surrogate(mean), surrogate(batch))


def test_the_ratio_is_exactly_one_before_the_first_step():
    batch = random(np.random.default_rng(0), (50,))
    here = batch.replace(log_prob=batch.log_prob_old)
    assert (here.ratio == 1).all()


@by_name
@pytest.mark.parametrize("kind", EPSILON)
def test_low_precision(name, kind):
    """Losses of order 1 within 1e-5 in float32 and 0.05 in bfloat16, from the same rounded inputs."""
    dtype = getattr(torch, kind)
    fields = {n: getattr(random(np.random.default_rng(5), (64,)), n) for n in FIELDS[:4]}
    low = Decisions(**{n: t.detach().to(dtype) for n, t in fields.items()})
    high = Decisions(**{n: getattr(low, n).double() for n in FIELDS[:4]})
    found = SURROGATES[name](low)
    assert found.dtype == dtype
    error = (found.double() - SURROGATES[name](high)).abs() / (1 + SURROGATES[name](high).abs())
    assert error.max() < EPSILON[kind]


@by_name
def test_function_transforms(name):
    """torch.func.grad and vmap give what autograd gives, lane by lane."""
    batch = random(np.random.default_rng(6), (3, 8))

    def loss(log_prob, log_prob_old, advantage, median):
        lane = Decisions(log_prob, log_prob_old, advantage, median)
        return weighted_mean(SURROGATES[name](lane), lane.weights)

    lanes = tuple(getattr(batch, n).detach() for n in FIELDS[:4])
    found = torch.func.vmap(torch.func.grad(loss))(*lanes)
    for i in range(3):
        lane = Decisions(*(t[i] for t in lanes))
        np.testing.assert_allclose(found[i], loss_and_gradient(SURROGATES[name], lane)[1], atol=1e-14)


def test_a_recipe_is_its_parts():
    batch = decisions([0.9, 1.4], [1.0, -2.0], weight=tensor(1, 3))
    recipe = Recipe(GAE(), Clip(0.2))
    assert recipe.loss(batch).item() == pytest.approx((-0.9 + 3 * 2.8) / 4)
    assert Recipe(GAE(), Clip(0.2), weighted_sum).loss(batch).item() == pytest.approx(-0.9 + 3 * 2.8)
