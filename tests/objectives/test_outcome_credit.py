"""Advantages of groups of answers against the papers' numbers, and what they must not depend on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgtheory.objectives import (
    BatchScale,
    BoundedRatio,
    Decisions,
    GroupMean,
    GroupMedian,
    GroupTarget,
    GroupZScore,
    Labels,
    LeaveOneOut,
    NoBaseline,
    TokenWhitened,
    target_ratio,
)

torch.set_num_threads(1)
seeds = st.integers(0, 2**32 - 1)
CREDITS = {
    "none": NoBaseline(),
    "mean": GroupMean(),
    "rloo": LeaveOneOut(),
    "z": GroupZScore(),
    "batch": BatchScale(),
    "whitened": TokenWhitened(),
    "whitened over means": TokenWhitened(group_baseline=True),
    "median": GroupMedian(),
    "median of the others": GroupMedian(leave_one_out=True),
    "target": GroupTarget(0.2, 0.28, temperature=0.3),
    "labels": Labels(),
}
CENTRED = [GroupMean(), LeaveOneOut(), GroupZScore(), BatchScale(), GroupMedian(), GroupTarget()]
SPREAD = [GroupZScore(), GroupZScore(0, 1e-4), GroupMedian(), GroupTarget(temperature=0.2)]


def credit(chosen, *groups, lengths=1):
    rewards = torch.as_tensor(np.array(groups, dtype=float))
    return chosen(rewards, torch.as_tensor(lengths * np.ones(rewards.shape)))


def advantage(chosen, *groups, lengths=1):
    return credit(chosen, *groups, lengths=lengths).advantage.flatten().tolist()


@pytest.mark.parametrize(
    ("chosen", "right", "wrong"),
    [
        (GroupZScore(0, 1e-12), 1.732051, -0.577350),
        (GroupZScore(), 1.620182, -0.540061),
        (GroupZScore(1, 1e-4), 1.619835, -0.539945),
        (GroupMean(), 0.75, -0.25),
        (LeaveOneOut(), 0.857143, -0.285714),
        (NoBaseline(), 1, 0),
        (Labels(), 1, -1),
    ],
)
def test_two_of_eight(chosen, right, wrong):
    """grpo-family.md, check 1."""
    r = [1, 0, 0, 1, 0, 0, 0, 0]
    assert advantage(chosen, r) == pytest.approx([right if x else wrong for x in r], abs=1e-6)


@pytest.mark.parametrize(
    ("baseline", "length", "values"),
    [
        (True, 1, ([1, -1, -1, 1], [0.5, 0.5, 0.5, -1.5])),
        (True, 3, ([1.046536, -1.046536, -1.046536, 1.046536], [0.523268] * 3 + [-1.569804])),
        (False, 1, ([0.724569, -1.207615, -1.207615, 0.724569], [0.724569] * 3 + [-1.207615])),
        (False, 3, ([0.758288, -1.263813, -1.263813, 0.758288], [0.758288] * 3 + [-1.263813])),
    ],
)
def test_whitening_over_tokens(baseline, length, values):
    """grpo-family.md, check 2."""
    found = advantage(TokenWhitened(baseline), [1, 0, 0, 1], [1, 1, 1, 0], lengths=length)
    assert found == pytest.approx(values[0] + values[1], abs=1e-6)


@given(seed=seeds, baseline=st.booleans())
@settings(max_examples=20, deadline=None)
def test_whitened_tokens_are_standardised(seed, baseline):
    rng = np.random.default_rng(seed)
    rewards, lengths = (
        torch.as_tensor(rng.normal(size=(3, 4))),
        torch.as_tensor(rng.integers(0, 9, (3, 4)) + 0.0),
    )
    lengths[0, :2] = torch.tensor([7.0, 1.0])
    found = TokenWhitened(baseline)(rewards, lengths).advantage.flatten()
    tokens = np.repeat(found.numpy(), lengths.flatten().long())
    assert tokens.mean() == pytest.approx(0, abs=1e-12)
    assert tokens.std(ddof=1) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(
    ("chosen", "size"),
    [(GroupZScore(), 0.707107), (GroupZScore(0), 1), (LeaveOneOut(), 1), (GroupMean(), 0.5)],
)
def test_pairs(chosen, size):
    """grpo-family.md, check 9."""
    assert advantage(chosen, [1, 0]) == pytest.approx([size, -size], abs=3e-6)


@pytest.mark.parametrize(
    ("rewards", "values"),
    [
        ((1, 0, 0, -1), (1.414214, 0, 0, -1.414214)),
        ((0, -1), (1, -1)),
        ((-1, -1), (0, 0)),
        ((1, 1, 1, 0), (0.577350, 0.577350, 0.577350, -1.732051)),
        ((1, 1, 0, -1), (0.904534, 0.904534, -0.301511, -1.507557)),
    ],
)
def test_ternary_rewards(rewards, values):
    """truthrl.md, checks: population standard deviation."""
    assert advantage(GroupZScore(0, 1e-12), rewards) == pytest.approx(values, abs=1e-6)


def test_ternary_rewards_with_the_sample_deviation():
    """truthrl.md, checks."""
    found = advantage(GroupZScore(1, 1e-12), (1, 0, 0, -1))
    assert found == pytest.approx((1.224745, 0, 0, -1.224745), abs=1e-6)


def test_batch_scale_is_one_spread_for_all_groups():
    found = advantage(BatchScale(epsilon=1e-12), [1, 0, 0, 1], [3, 3, 3, 3])
    spread = np.std([1, 0, 0, 1, 3, 3, 3, 3], ddof=1)
    assert found == pytest.approx([0.5 / spread, -0.5 / spread, -0.5 / spread, 0.5 / spread, 0, 0, 0, 0])


# -- invariances -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CREDITS)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_answers_may_be_permuted(name, seed):
    rng = np.random.default_rng(seed)
    rewards, order = rng.integers(-1, 3, (3, 5)) * 1.0, np.argsort(rng.random((3, 5)), -1)
    lengths = rng.integers(1, 9, (3, 5)) * 1.0
    before = CREDITS[name](torch.as_tensor(rewards), torch.as_tensor(lengths))
    rows = np.arange(3)[:, None]
    after = CREDITS[name](torch.as_tensor(rewards[rows, order]), torch.as_tensor(lengths[rows, order]))
    for a, b in zip(after, before):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b[rows, order], rtol=1e-9, atol=1e-9)


@given(seed=seeds, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
@settings(max_examples=25, deadline=None)
def test_shifts_and_scales_of_the_reward(seed, scale, shift):
    """grpo-family.md, check 8; shifting one prompt's rewards changes nothing either."""
    rewards = torch.as_tensor(np.random.default_rng(seed).normal(size=(3, 5)))
    moved = scale * rewards + shift * torch.tensor([[1.0], [-2.0], [0.5]])
    ones = torch.ones_like(rewards)
    for chosen, factor, tolerance in [
        *((chosen, 1.0, 2e-2) for chosen in SPREAD),
        (GroupMean(), scale, 1e-9),
        (LeaveOneOut(), scale, 1e-9),
    ]:
        before, after = chosen(rewards, ones), chosen(moved, ones)
        np.testing.assert_allclose(after.advantage, factor * before.advantage, rtol=tolerance, atol=tolerance)
        if before.target is not None:
            np.testing.assert_allclose(after.target, before.target, rtol=0, atol=tolerance)
    whole = TokenWhitened()(scale * rewards + shift, ones).advantage
    np.testing.assert_allclose(whole, TokenWhitened()(rewards, ones).advantage, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chosen", CENTRED, ids=lambda c: type(c).__name__)
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_groups_sum_to_zero(chosen, seed):
    rewards = torch.as_tensor(np.random.default_rng(seed).normal(size=(4, 6)))
    np.testing.assert_allclose(chosen(rewards, torch.ones_like(rewards)).advantage.sum(-1), 0, atol=1e-9)


@pytest.mark.parametrize("chosen", [*CENTRED, TokenWhitened(True)], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@given(reward=st.floats(-1e4, 1e4), answers=st.integers(2, 12))
@settings(max_examples=10, deadline=None)
def test_equal_rewards_have_no_advantage_at_all(chosen, dtype, reward, answers):
    rewards = torch.full((2, answers), reward, dtype=dtype)
    rewards[1] += 1
    found = chosen(rewards, torch.ones_like(rewards))
    assert not found.advantage.any()
    if found.target is not None:
        assert found.target.double().tolist() == pytest.approx(np.ones((2, answers)), abs=1e-7)
    if found.median_advantage is not None:
        assert not found.median_advantage.any()


@pytest.mark.parametrize("name", CREDITS)
def test_one_answer(name):
    found = CREDITS[name](torch.tensor([[0.5], [-2.0]]), torch.tensor([[3.0], [1.0]]))
    assert torch.isfinite(found.advantage).all()
    if name not in ("batch", "whitened", "whitened over means", "labels"):
        assert found.advantage.tolist() == [[0.5], [-2.0]]
    if name.startswith("median"):
        assert found.median_advantage.tolist() == [[0.5], [-2.0]]
    if name == "target":
        assert found.target.tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("name", CREDITS)
def test_leading_axes_are_batches_apart(name):
    rng = np.random.default_rng(3)
    rewards, lengths = (
        torch.as_tensor(rng.normal(size=(4, 3, 5))),
        torch.as_tensor(rng.integers(1, 9, (4, 3, 5))),
    )

    def given_of(rewards, lengths):
        return tuple(x for x in CREDITS[name](rewards, lengths) if x is not None)

    together, mapped = given_of(rewards, lengths), torch.func.vmap(given_of)(rewards, lengths)
    for i in range(4):
        for a, b, c in zip(together, mapped, given_of(rewards[i], lengths[i])):
            np.testing.assert_allclose(a[i], c, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(b[i], c, rtol=1e-12, atol=1e-12)


def test_a_batch_without_tokens_is_no_trouble():
    assert torch.isfinite(TokenWhitened()(torch.rand(2, 3), torch.zeros(2, 3)).advantage).all()


# -- targets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "low", "high", "median", "normalised"),
    [
        (3, 0.2, 0.2, (1.2, 1.0), (1.2, 0.88)),
        (5, 0.2, 0.2, (1.0, 0.8), (1.12, 0.8)),
        (3, 0.2, 0.28, (1.28, 1.04), (1.28, 0.832)),
        (4, 0.2, 0.2, (1.2, 0.8), (1.2, 0.8)),
        (0, 0.2, 0.2, (1.0, 1.0), (1.0, 1.0)),
        (8, 0.2, 0.28, (1.04, 1.04), (1.0, 1.0)),
    ],
)
def test_targets_of_gbpo(right, low, high, median, normalised):
    """brrl.md, check 7, with both targets."""
    r = [1] * right + [0] * (8 - right)
    official = credit(GroupMedian(), r).median_advantage
    found = target_ratio(official, low, high, 1e-4).flatten().tolist()
    assert found == pytest.approx([median[1 - x] for x in r], abs=1e-9)
    found = credit(GroupTarget(low, high), r).target.flatten()
    assert found.tolist() == pytest.approx([normalised[1 - x] for x in r], abs=1e-9)
    assert found.mean().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("chosen", [GroupMedian(), GroupTarget(0.2)])
def test_loss_of_gbpo(chosen):
    """brrl.md, check 7: advantages, and the loss of the official targets and of the normalised ones."""
    r = [1, 1, 0, 0, 0, 0, 1, 0]
    found = credit(chosen, r)
    assert found.advantage.flatten().tolist() == pytest.approx(
        [1.207612 if x else -0.724567 for x in r], abs=1e-6
    )
    log_ratio = torch.tensor([[1, 1.1, 1, 0.9, 1.05, 0.7, 1.3, 1]], dtype=torch.float64).log()
    batch = Decisions(log_ratio, torch.zeros_like(log_ratio), *found)
    loss = BoundedRatio(0.2, temperature=1e-4)(batch).mean().item()
    wrong = 1.0 if isinstance(chosen, GroupMedian) else 0.88
    targets = [1.2 if x else wrong for x in r]
    by_hand = [
        (1.207612 if x else 0.724567) * abs(rho - t)
        for x, rho, t in zip(r, log_ratio.exp()[0].tolist(), targets)
    ]
    assert loss == pytest.approx(np.mean(by_hand), abs=1e-6)
    if wrong == 1.0:
        assert loss == pytest.approx(0.101138, abs=1e-6)


@given(seed=seeds, low=st.floats(0.01, 0.9), high=st.floats(0.01, 2), temperature=st.floats(1e-4, 10))
@settings(max_examples=40, deadline=None)
def test_normalised_targets(seed, low, high, temperature):
    """They average to 1, keep to the box, follow the rewards, and are those of a root found by SciPy."""
    from scipy.optimize import brentq
    from scipy.special import expit

    r = np.random.default_rng(seed).normal(size=7)
    found = credit(GroupTarget(low, high, temperature), r).target[0].numpy()
    assert found.mean() == pytest.approx(1, abs=1e-9)
    assert (found >= 1 - low - 1e-12).all()
    assert (found <= 1 + high + 1e-12).all()
    assert (np.diff(found[np.argsort(r)]) >= 0).all()
    scale = (r.std(ddof=1) + 1e-6) * temperature

    def targets(m):
        return 1 - low + (low + high) * expit((r - m) / scale + np.log(low / high))

    m = brentq(lambda m: targets(m).mean() - 1, r.min() - 1e-9, r.max() + 1e-9, xtol=1e-15, rtol=1e-15)
    np.testing.assert_allclose(found, targets(m), atol=1e-8)


def test_cold_targets_of_a_wide_group_in_float32():
    rewards = torch.tensor([[1e5, 1e5 + 1, 1e5 + 2, 1e5 + 3]])
    assert GroupTarget()(rewards, rewards).target.tolist()[0] == pytest.approx([0.8, 0.8, 1.2, 1.2])


def test_median_of_the_others():
    found = credit(GroupMedian(leave_one_out=True), [1, 2, 4, 9]).median_advantage[0]
    std = np.std([1, 2, 4, 9], ddof=1) + 1e-6
    assert (found * std).tolist() == pytest.approx([1 - 4, 2 - 4, 4 - 2, 9 - 2])
    even = credit(GroupMedian(leave_one_out=True), [1, 2, 9]).median_advantage[0]
    assert (even * (np.std([1, 2, 9], ddof=1) + 1e-6)).tolist() == pytest.approx([1 - 5.5, 2 - 5, 9 - 1.5])


def test_labels_are_signs():
    assert advantage(Labels(), [1, 0, -1, 0.5]) == [1, -1, -1, 1]


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: GroupZScore(2), "ddof"),
        (lambda: GroupZScore(True), "ddof"),
        (lambda: GroupZScore(epsilon=0.0), "epsilon"),
        (lambda: BatchScale(ddof=-1), "ddof"),
        (lambda: TokenWhitened(epsilon=-1.0), "epsilon"),
        (lambda: GroupMedian(epsilon=float("nan")), "epsilon"),
        (lambda: GroupTarget(1.0), "low"),
        (lambda: GroupTarget(0.2, 0.0), "high"),
        (lambda: GroupTarget(temperature=0.0), "temperature"),
    ],
)
def test_refused(make, argument):
    with pytest.raises(ValueError, match=f"^{argument} must"):
        make()
