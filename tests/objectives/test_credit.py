"""Credit against loops over time, sums written out, and three steps worked by hand."""

import numpy as np
import pytest
import torch
from batches import tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import GAE, MonteCarlo, Steps, VTrace
from pgtheory.objectives.credit import backward_scan

seeds = st.integers(0, 2**32 - 1)
lengths = st.integers(1, 40)


def examples(n):
    return settings(max_examples=n, deadline=None)


def rollout(rng, T, shape=(), ends=0.2):
    """Random steps whose next values are the values one step later, but for the ends of episodes."""
    values, rewards, fresh = (rng.normal(size=(T + 1, *shape)) for _ in range(3))
    terminated, truncated = rng.random((2, T, *shape)) < ends
    following = np.where(terminated | truncated, fresh[:T], values[1:])
    arrays = rewards[:T], values[:T], following, terminated, truncated & ~terminated
    return Steps(*map(torch.as_tensor, arrays))


def arrays(steps):
    return tuple(
        getattr(steps, name).numpy()
        for name in ("rewards", "values", "next_values", "terminated", "truncated")
    )


def gae(steps, gamma, lam):
    """The loop that everybody writes."""
    r, v, after, terminated, truncated = arrays(steps)
    A, last = np.zeros_like(r), np.zeros_like(r[0])
    for t in range(len(r) - 1, -1, -1):
        delta = r[t] + gamma * after[t] * ~terminated[t] - v[t]
        last = delta + gamma * lam * ~(terminated[t] | truncated[t]) * last
        A[t] = last
    return A


def v_trace(steps, log_ratio, gamma, lam, rho_bar, c_bar):
    """Espeholt et al., Eq. 1: the double sum over the steps that are left in the episode."""
    r, v, after, terminated, truncated = arrays(steps)
    ratio = np.exp(log_ratio)
    target = v.copy()
    for s in range(len(r)):
        product = 1.0
        for t in range(s, len(r)):
            rest = 0.0 if terminated[t] else after[t]
            target[s] += gamma ** (t - s) * product * min(rho_bar, ratio[t]) * (r[t] + gamma * rest - v[t])
            if terminated[t] or truncated[t]:
                break
            product *= lam * min(c_bar, ratio[t])
    last = np.arange(len(r)) == len(r) - 1
    inside = ~(terminated | truncated | last)
    following = np.where(inside, np.append(target[1:], 0), np.where(terminated, 0, after))
    return np.minimum(rho_bar, ratio) * (r + gamma * following - v), target


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(seed=seeds, T=lengths)
@examples(20)
def test_scan_is_the_loop(dtype, seed, T):
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=(T, 3)), rng.uniform(-1, 1, size=(T, 3))
    y = np.zeros((T + 1, 3))
    for t in range(T - 1, -1, -1):
        y[t] = x[t] + c[t] * y[t + 1]
    found = backward_scan(torch.as_tensor(x, dtype=dtype), torch.as_tensor(c, dtype=dtype)).numpy()
    np.testing.assert_allclose(found, y[:T], rtol=0, atol=50 * torch.finfo(dtype).eps * T)


def test_scan_in_float32_over_a_long_rollout():
    """The doubling loses no more to rounding than the loop does: an error below 1e-5 of the largest sum."""
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=4096), np.full(4096, 0.99 * 0.95)
    exact = backward_scan(torch.as_tensor(x), torch.as_tensor(c))
    single = backward_scan(torch.as_tensor(x).float(), torch.as_tensor(c).float())
    assert (single - exact).abs().max() < 1e-5 * exact.abs().max()


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
@given(seed=seeds, T=lengths, gamma=st.floats(0, 1), lam=st.floats(0, 1))
@examples(20)
def test_gae_is_the_loop(shape, seed, T, gamma, lam):
    steps = rollout(np.random.default_rng(seed), T, shape)
    advantage, target = GAE(gamma, lam)(steps)
    np.testing.assert_allclose(advantage.numpy(), gae(steps, gamma, lam), rtol=0, atol=1e-12)
    np.testing.assert_allclose(target.numpy(), gae(steps, gamma, lam) + steps.values.numpy(), atol=1e-12)


def test_three_steps_by_hand():
    """γ = .5, λ = .5: a step that ends, or is cut, in the middle; then a rollout that just stops."""
    rewards, values, following = tensor(1, 2, 4), tensor(0.5, 1, 2), tensor(1, 6, 8)
    no, middle = torch.tensor([False] * 3), torch.tensor([False, True, False])
    ended = GAE(0.5, 0.5)(Steps(rewards, values, following, middle, no)).advantage
    # δ = (1 + .5 - .5, 2 - 1, 4 + 4 - 2)
    assert ended.tolist() == [1 + 0.25 * 1, 1, 6]
    cut = GAE(0.5, 0.5)(Steps(rewards, values, following, no, middle)).advantage
    # δ = (1, 2 + 3 - 1, 6): the cut step counts the value of the state that it was cut in
    assert cut.tolist() == [1 + 0.25 * 4, 4, 6]
    going_on = GAE(0.5, 0.5)(Steps(rewards, values, following, no, no)).advantage
    assert going_on.tolist() == [1 + 0.25 * (4 + 0.25 * 6), 4 + 0.25 * 6, 6]
    returns = MonteCarlo(0.5)(Steps(rewards, values, following, middle, no)).target
    assert returns.tolist() == [1 + 0.5 * 2, 2, 4 + 0.5 * 8]
    returns = MonteCarlo(0.5)(Steps(rewards, values, following, no, middle)).target
    assert returns.tolist() == [1 + 0.5 * (2 + 0.5 * 6), 2 + 0.5 * 6, 4 + 0.5 * 8]


@given(seed=seeds, T=lengths, gamma=st.floats(0, 1))
@examples(20)
def test_monte_carlo_is_the_end_point_of_gae(seed, T, gamma):
    steps = rollout(np.random.default_rng(seed), T, (2,))
    for found, wanted in zip(MonteCarlo(gamma)(steps), GAE(gamma, 1.0)(steps), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=0, atol=1e-12)


@given(seed=seeds, T=lengths, lam=st.floats(0, 1), bound=st.floats(1, 3))
@examples(20)
def test_v_trace_on_policy_has_the_targets_of_gae(seed, T, lam, bound):
    steps = rollout(np.random.default_rng(seed), T, (2,))
    found = VTrace(0.9, lam, bound, bound)(steps, torch.zeros_like(steps.rewards)).target
    np.testing.assert_allclose(found.numpy(), GAE(0.9, lam)(steps).target.numpy(), rtol=0, atol=1e-12)


@given(seed=seeds, T=lengths, lam=st.floats(0, 1), rho_bar=st.floats(0.5, 3), c_bar=st.floats(0.2, 3))
@examples(30)
def test_v_trace_is_the_double_sum(seed, T, lam, rho_bar, c_bar):
    rng = np.random.default_rng(seed)
    steps, log_ratio = rollout(rng, T), rng.normal(size=T)
    found = VTrace(0.9, lam, rho_bar, c_bar)(steps, torch.as_tensor(log_ratio))
    for got, wanted in zip(found, v_trace(steps, log_ratio, 0.9, lam, rho_bar, c_bar), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12, atol=1e-12)


def test_v_trace_passes_no_gradient_to_ratios():
    steps = rollout(np.random.default_rng(0), 5)
    log_ratio = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    assert not any(part.requires_grad for part in VTrace()(steps, log_ratio))


@pytest.mark.parametrize("credit", [GAE(0.9, 0.8), MonteCarlo(0.9)])
def test_what_follows_an_ending_is_never_read(credit):
    """The value after a termination may be anything, NaN included."""
    steps = rollout(np.random.default_rng(1), 8, ends=0.4)
    spoilt = torch.where(steps.terminated, torch.nan, steps.next_values)
    assert steps.terminated.any()
    for found, wanted in zip(credit(Steps(**(vars(steps) | {"next_values": spoilt}))), credit(steps)):
        assert torch.equal(found, wanted)


def test_episodes_do_not_see_each_other():
    """Two episodes one after the other have the credit that each has alone."""
    rng = np.random.default_rng(2)
    first, second = rollout(rng, 4, ends=0.0), rollout(rng, 5, ends=0.0)
    first = Steps(**(vars(first) | {"truncated": torch.tensor([False, False, False, True])}))
    both = Steps(*(torch.cat([getattr(first, n), getattr(second, n)]) for n in vars(first)))
    log_ratio = torch.as_tensor(rng.normal(size=9))
    for credit in (GAE(), MonteCarlo()):
        np.testing.assert_allclose(
            credit(both).advantage, torch.cat([credit(first).advantage, credit(second).advantage]), atol=1e-12
        )
    parts = VTrace()(first, log_ratio[:4]).advantage, VTrace()(second, log_ratio[4:]).advantage
    np.testing.assert_allclose(VTrace()(both, log_ratio).advantage, torch.cat(parts), atol=1e-12)


def test_exact_values_have_exact_credit():
    """With the true values of a deterministic chain every advantage is zero, whatever λ."""
    rewards = tensor(1, -2, 3, 0.5)
    values = backward_scan(rewards, torch.full_like(rewards, 0.9))
    ends = torch.tensor([False, False, False, True])
    steps = Steps(rewards, values, torch.cat([values[1:], tensor(7)]), ends, ~ends & False)
    for credit in (GAE(0.9, 0.3), GAE(0.9, 1.0), MonteCarlo(0.9)):
        np.testing.assert_allclose(credit(steps).advantage, 0, atol=1e-14)
