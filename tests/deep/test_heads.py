"""Heads against torch.distributions, and the law of what they draw."""

import numpy as np
import pytest
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal, kl_divergence

from pgtheory.deep.heads import Categorical, Gaussian

torch.set_num_threads(1)
EMPTY = torch.zeros(0)


def logits(n=7, k=4, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(0, 2, (n, k)), dtype=torch.float32)


def normal(out, own):
    return Independent(Normal(out, own.exp().expand_as(out)), 1)


def test_categorical_against_torch():
    out, other = logits(), logits(seed=1)
    head, p, q = Categorical(4), TorchCategorical(logits=out), TorchCategorical(logits=other)
    actions = torch.tensor([0, 1, 2, 3, 3, 2, 0])
    torch.testing.assert_close(head.log_prob(out, EMPTY, actions[:, None].float()), p.log_prob(actions))
    torch.testing.assert_close(head.entropy(out, EMPTY), p.entropy())
    torch.testing.assert_close(head.kl(out, EMPTY, other, EMPTY), kl_divergence(p, q))
    assert head.initial().shape == (0,)
    assert (head.outputs, head.parameters, head.width) == (4, 0, 1)


def test_gaussian_against_torch():
    out, other = logits(k=3), logits(k=3, seed=1)
    own, own_other = torch.tensor([-0.5, 0.3, 1.0]), torch.tensor([0.2, -0.4, 0.9])
    head, p, q = Gaussian(3, log_std=-0.7), normal(out, own), normal(other, own_other)
    actions = logits(k=3, seed=2)
    torch.testing.assert_close(head.log_prob(out, own, actions), p.log_prob(actions))
    torch.testing.assert_close(head.entropy(out, own), p.entropy())
    torch.testing.assert_close(head.kl(out, own, other, own_other), kl_divergence(p, q))
    np.testing.assert_array_equal(head.initial(), np.full(3, -0.7, np.float32))
    assert (head.outputs, head.parameters, head.width) == (3, 3, 3)


@pytest.mark.parametrize("head", [Categorical(3), Gaussian(3)])
def test_no_divergence_from_itself(head):
    out, own = logits(k=3), torch.as_tensor(head.initial())
    torch.testing.assert_close(head.kl(out, own, out, own), torch.zeros(7), atol=1e-6, rtol=0)


def test_law_of_categorical_samples():
    n, out = 200_000, np.array([0.5, -1.0, 2.0, 0.0], np.float32)
    head = Categorical(4)
    drawn = head.sample(np.tile(out, (n, 1)), None, head.noise(np.random.default_rng(0), (n,)))
    assert drawn.shape == (n, 1)
    p = np.exp(out) / np.exp(out).sum()
    frequency = np.bincount(drawn[:, 0], minlength=4) / n
    np.testing.assert_allclose(frequency, p, atol=5 * np.sqrt(p * (1 - p) / n).max())


def test_impossible_actions_are_never_drawn_and_large_logits_do_no_harm():
    out = np.array([[-500.0, 800.0, -500.0, 800.0, -500.0]], np.float32)
    noise = np.array([0.0, 0.25, 0.5, 0.75, 1 - 2.0**-24], np.float32)
    drawn = Categorical(5).sample(out.repeat(5, 0), None, noise)[:, 0]
    np.testing.assert_array_equal(drawn, [1, 1, 3, 3, 3])


def test_law_of_gaussian_samples():
    n, head = 200_000, Gaussian(2)
    own, out = np.array([-1.0, 0.5], np.float32), np.array([3.0, -2.0], np.float32)
    noise = head.noise(np.random.default_rng(0), (n,))
    drawn = head.sample(np.tile(out, (n, 1)), own, noise)
    assert drawn.shape == (n, 2)
    assert drawn.dtype == np.float32
    std = np.exp(own)
    np.testing.assert_allclose(drawn.mean(0), out, atol=5 * std.max() / np.sqrt(n))
    np.testing.assert_allclose(drawn.std(0), std, rtol=0.01)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.02


def test_mode():
    out = logits().numpy()
    np.testing.assert_array_equal(Categorical(4).sample(out, np.zeros(0), None)[:, 0], out.argmax(1))
    np.testing.assert_array_equal(Gaussian(4).sample(out, np.zeros(4), None), out)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Categorical(0), "outputs"),
        (lambda: Gaussian(0), "outputs"),
        (lambda: Gaussian(2, log_std=float("inf")), "log_std"),
    ],
)
def test_bad_heads_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
