"""What critics' losses are minimised by."""

import numpy as np
import pytest
import torch
from batches import tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import median_loss, value_loss


def minimiser(loss, returns, weights):
    """Where the weighted loss is flat, by bisection on its autodiff slope."""
    low, high = returns.min(), returns.max()
    for _ in range(80):
        middle = ((low + high) / 2).requires_grad_()
        (slope,) = torch.autograd.grad(weights @ loss(middle.expand_as(returns), returns), middle)
        low, high = (middle.detach(), high) if slope < 0 else (low, middle.detach())
    return low.item()


def test_soft_absolute_value():
    """brrl.md, check 8: g(-2, 0, 3), slope tanh(x/2)/2, even, and straight far out."""
    zero = torch.zeros(3, dtype=torch.float64)
    assert median_loss(zero, tensor(-2, 0, 3)).tolist() == pytest.approx(
        [1.126928, 0.693147, 1.548587], abs=1e-6
    )
    x = torch.linspace(-60, 60, 241, dtype=torch.float64)
    mu = torch.zeros_like(x).requires_grad_()
    loss = median_loss(mu, x)
    loss.sum().backward()
    np.testing.assert_allclose(mu.grad.numpy(), -np.tanh(x.numpy() / 2) / 2, rtol=0, atol=1e-15)
    np.testing.assert_allclose(loss.detach(), loss.detach().flip(0), rtol=1e-15)
    far = median_loss(zero[:2], tensor(-1e6, 1e6))
    assert far.tolist() == [5e5, 5e5]


@pytest.mark.parametrize(
    ("tau", "wanted"), [(10, 0.700070), (1, 0.706958), (0.1, 0.908395), (0.01, 0.990837)]
)
def test_soft_median_of_a_coin(tau, wanted):
    """brrl.md, check 8."""
    found = minimiser(lambda mu, R: median_loss(mu, R, tau), tensor(0, 1), tensor(0.3, 0.7))
    assert found == pytest.approx(wanted, abs=1e-6)


def test_limits_are_median_and_mean():
    R, w = tensor(-3, 0, 1, 2, 10), torch.full((5,), 0.2, dtype=torch.float64)
    assert minimiser(lambda mu, r: median_loss(mu, r, 1e-3), R, w) == pytest.approx(1, abs=1e-6)
    assert minimiser(lambda mu, r: median_loss(mu, r, 1e4), R, w) == pytest.approx(2, abs=1e-5)
    assert minimiser(value_loss, R, w) == pytest.approx(2, abs=1e-12)


@given(seed=st.integers(0, 2**32 - 1), tau=st.floats(0.05, 20))
@settings(max_examples=20, deadline=None)
def test_targets_averaged_at_the_soft_median_are_one(seed, tau):
    """Normalisation of the bounded-ratio optimum is the stationarity of the median loss."""
    from pgtheory.objectives import target_ratio

    rng = np.random.default_rng(seed)
    Q, pi = torch.as_tensor(rng.normal(size=7)), torch.as_tensor(rng.dirichlet(np.ones(7)))
    mu = minimiser(lambda m, R: median_loss(m, R, tau), Q, pi)
    assert (pi @ target_ratio(Q - mu, 0.3, 0.3, tau)).item() == pytest.approx(1, abs=1e-9)
    shifted = minimiser(lambda m, R: median_loss(m, R, tau), Q + 5, pi)
    assert shifted == pytest.approx(mu + 5, abs=1e-9)


@pytest.mark.parametrize("loss", [value_loss, median_loss])
def test_targets_carry_no_gradient(loss):
    predictions, targets = (tensor(1, 2, 3).requires_grad_() for _ in range(2))
    loss(predictions, targets + 1).sum().backward()
    assert targets.grad is None
    assert (predictions.grad < 0).all()


def test_squares():
    assert value_loss(tensor(1, 2), tensor(3, -1)).tolist() == [4, 9]
