"""Estimators of the KL divergence: values and expected gradients by enumeration."""

import numpy as np
import pytest
import torch
from batches import tensor

from pgtheory.objectives import Decisions, KLPenalty, weighted_sum

torch.set_num_threads(1)
PI, REF = tensor(0.5, 0.3, 0.2), tensor(0.4, 0.4, 0.2)


def value_and_gradient(penalty, pi=PI, ref=REF):
    """Expectation of the estimate over on-policy samples, and of its gradient in the logits."""
    logits = pi.log().requires_grad_()
    log_prob = logits.log_softmax(-1)
    batch = Decisions(log_prob, pi.log(), torch.zeros_like(pi), weight=pi, log_prob_ref=ref.log())
    loss = weighted_sum(penalty(batch), batch.weights)
    return loss.item(), torch.autograd.grad(loss, logits)[0].tolist()


@pytest.mark.parametrize(
    ("estimator", "value", "gradient"),
    [
        ("k1", 0.025267, [0, 0, 0]),
        ("k2", 0.024862, [0.098938, -0.093885, -0.005053]),
        ("k3", 0.025267, [0.1, -0.1, 0]),
    ],
)
def test_expectations(estimator, value, gradient):
    """grpo-family.md, check 6."""
    found, slope = value_and_gradient(KLPenalty(estimator, 1.0))
    assert found == pytest.approx(value, abs=1e-6)
    assert slope == pytest.approx(gradient, abs=1e-6)
    assert value_and_gradient(KLPenalty(estimator, 0.3))[0] == pytest.approx(0.3 * found)


@pytest.mark.parametrize("seed", range(5))
def test_which_divergence_each_gradient_belongs_to(seed):
    """k1: none. k2: KL(pi, ref). k3: KL(ref, pi)."""
    pi, ref = torch.as_tensor(np.random.default_rng(seed).dirichlet(np.ones(5), 2))
    logits = pi.log().requires_grad_()
    now = logits.log_softmax(-1)
    forward, backward = (now.exp() * (now - ref.log())).sum(), (ref * (ref.log() - now)).sum()
    of = {
        "k1": torch.zeros(5).double(),
        "k2": torch.autograd.grad(forward, logits, retain_graph=True)[0],
        "k3": torch.autograd.grad(backward, logits)[0],
    }
    for estimator, gradient in of.items():
        value, slope = value_and_gradient(KLPenalty(estimator, 1.0), pi, ref)
        assert slope == pytest.approx(gradient.tolist(), abs=1e-12)
        if estimator != "k2":
            assert value == pytest.approx(forward.item())


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_padding_and_vmap(estimator):
    rng = np.random.default_rng(1)
    log_prob, ref = torch.as_tensor(rng.normal(size=(2, 4, 6)))
    weight = torch.as_tensor(rng.integers(0, 2, (4, 6)) * 1.0)

    def loss(log_prob, ref, weight):
        batch = Decisions(log_prob, log_prob, log_prob, weight=weight, log_prob_ref=ref)
        return KLPenalty(estimator, 0.1)(batch).sum()

    clean = torch.func.vmap(torch.func.grad(loss))(log_prob, ref, weight)
    x = ref - log_prob
    closed = 0.1 * weight * {"k1": torch.ones_like(x), "k2": -x, "k3": 1 - x.exp()}[estimator]
    np.testing.assert_allclose(clean, closed, rtol=1e-10, atol=1e-15)
    dirty = [torch.where(weight > 0, values, torch.nan) for values in (log_prob, ref)]
    assert torch.equal(torch.func.vmap(torch.func.grad(loss))(*dirty, weight), clean)


@pytest.mark.parametrize("x", [1e-2, -1e-3, 1e-4, -1e-5])
def test_small_distances_in_float32(x):
    """1 - x - exp x would be all rounding: k3 is about half the square, and never negative."""
    batch = Decisions(*torch.zeros(3, 1), log_prob_ref=torch.tensor([x]))
    value = KLPenalty("k3", 1.0)(batch).item()
    assert value == pytest.approx(np.expm1(x) - x, rel=1e-2)
    assert value >= 0


def test_limit():
    """20 in verl: the value stays finite, and there is no slope beyond."""
    log_prob = torch.tensor([-500.0, -1.0], requires_grad=True)
    batch = Decisions(log_prob, *torch.zeros(2, 2), log_prob_ref=torch.zeros(2))
    value = KLPenalty("k3", 1.0, limit=20.0)(batch)
    assert value.tolist() == pytest.approx([np.exp(20) - 21, np.e - 2])
    assert torch.autograd.grad(value.sum(), log_prob)[0].tolist() == pytest.approx([0, 1 - np.e])


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: KLPenalty("k4"), "estimator"),
        (lambda: KLPenalty(coefficient=-1.0), "coefficient"),
        (lambda: KLPenalty(limit=0.0), "limit"),
        (lambda: KLPenalty()(Decisions(*torch.zeros(3, 1))), "log_prob_ref"),
    ],
)
def test_refused(make, argument):
    with pytest.raises(ValueError, match=argument):
        make()
