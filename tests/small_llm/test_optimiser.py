"""AdamW on float32 weights, whatever the model's precision."""

import math

import pytest
import torch

from pgtheory.deep.checkpoint import CheckpointError
from small_llm.optimiser import Optimiser, rate

torch.set_num_threads(1)


def model(dtype=torch.float32, out=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Linear(3, out).to(dtype)


def pushed(network, optimiser, n, slope=1.0, learning_rate=1e-4):
    for _ in range(n):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, slope)
        norm = optimiser.step(learning_rate)
    return norm


def test_the_rate_rises_and_falls():
    assert [rate(1.0, "constant", 0, k, 4) for k in range(4)] == [1.0] * 4
    assert [rate(1.0, "constant", 3, k, 9) for k in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [rate(2.0, "linear", 0, k, 4) for k in range(4)] == [2.0, 1.5, 1.0, 0.5]
    assert rate(1.0, "cosine", 0, 1, 4) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_small_steps_add_up_in_half_precision():
    whole, half = model(), model(torch.bfloat16)
    half.load_state_dict(whole.state_dict())
    whole.load_state_dict(half.state_dict())  # the rounded start for both
    start = whole.weight.detach().clone()
    for network in (whole, half):
        pushed(network, Optimiser(network), 300)
    assert (whole.weight - start).abs().max() > 0.02
    torch.testing.assert_close(half.weight, whole.weight.bfloat16())


def test_clipping_and_the_norm_before_it():
    network = model()
    optimiser = Optimiser(network, max_grad_norm=0.5)
    norm = pushed(network, optimiser, 1, slope=2.0)
    assert norm == pytest.approx(2.0 * math.sqrt(8))
    first = optimiser.tensors()["exp_avg/weight"]
    torch.testing.assert_close(first, torch.full_like(first, 0.1 * 0.5 / math.sqrt(8)))


@pytest.mark.parametrize("slope", [math.nan, math.inf])
def test_nothing_moves_along_what_is_not_finite(slope):
    network = model()
    before = [p.detach().clone() for p in network.parameters()]
    optimiser = Optimiser(network)
    assert not math.isfinite(pushed(network, optimiser, 1, slope=slope))
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before))
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_restored_goes_on_the_same(dtype):
    one, other = model(dtype), model(dtype)
    first, second = Optimiser(one, weight_decay=0.1), Optimiser(other, weight_decay=0.1)
    pushed(one, first, 3)
    second.restore({name: value.clone() for name, value in first.tensors().items()})
    pushed(one, first, 2, slope=-3.0)
    pushed(other, second, 2, slope=-3.0)
    assert first.tensors().keys() == second.tensors().keys()
    for name, value in first.tensors().items():
        assert torch.equal(value, second.tensors()[name]), name
    assert torch.equal(one.weight, other.weight)


def test_another_models_weights_are_refused():
    optimiser = Optimiser(model(out=3))
    with pytest.raises(CheckpointError, match="weight/bias"):
        optimiser.restore(Optimiser(model()).tensors())
