"""Running moments against those of everything at once, and rewards on their scale."""

import numpy as np
import pytest

from pgtheory.deep.normalise import EPSILON, Moments, RewardScale


def test_moments_of_pieces_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    pieces = [rng.normal(1e3, 3, (n, 4)).astype(np.float32) for n in (5, 1, 300, 64)]
    moments = Moments.start(4)
    for piece in pieces:
        moments.update(piece)
    whole = np.concatenate([np.zeros((0, 4)), *pieces])
    # the start weighs 1e-4 of one observation of mean 0 and variance 1
    share = 1e-4 / (1e-4 + len(whole))
    mean = (1 - share) * whole.mean(0)
    variance = (1 - share) * (whole.var(0) + whole.mean(0) ** 2) + share - mean**2
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-8)
    assert moments.count == pytest.approx(1e-4 + len(whole))
    np.testing.assert_allclose(moments.scale, 1 / np.sqrt(variance + EPSILON), rtol=1e-8)


def test_before_anything_was_seen_nothing_is_changed():
    moments = Moments.start(3)
    np.testing.assert_array_equal(moments.mean, 0)
    np.testing.assert_allclose(moments.scale, 1, rtol=1e-7)


def test_moments_come_back_from_their_arrays():
    moments, other = Moments.start(2), Moments.start(2)
    moments.update(np.random.default_rng(0).normal(3, 2, (50, 2)))
    other.restore(moments.arrays())
    for key, value in moments.arrays().items():
        np.testing.assert_array_equal(other.arrays()[key], value)


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    rng = np.random.default_rng(0)
    T, N, discount = 30, 3, 0.9
    rewards, ended = rng.normal(2, 5, (2, T, N)), rng.random((2, T, N)) < 0.2
    scale = RewardScale(N, discount)
    sums, seen = np.zeros(N), []
    for rollout, ends in zip(rewards, ended):
        got = scale(rollout, ends)
        for t in range(T):
            for i in range(N):
                sums[i] = discount * sums[i] + rollout[t, i]
                seen.append(sums[i])
                if ends[t, i]:
                    sums[i] = 0.0
        expected = rollout / np.sqrt(np.var(seen) + EPSILON)
        np.testing.assert_allclose(got, np.clip(expected, -10, 10), rtol=1e-4)
    np.testing.assert_allclose(scale.returns, sums)


def test_scaled_rewards_are_at_most_ten():
    rewards = np.zeros((200, 1))
    rewards[-1] = -50.0
    assert RewardScale(1, 0.9)(rewards, np.zeros((200, 1), bool)).min() == -10.0
