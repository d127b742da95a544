"""The step on a flat vector against torch.optim.Adam, and compiled against not compiled."""

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from pgtheory.deep import BPO, PPO, R2VPO, TRPO, Network, OnPolicy
from pgtheory.deep.actor_critic import ActorCritic
from pgtheory.deep.adam import Adam, make_step, sizes
from pgtheory.deep.heads import Categorical, Gaussian
from pgtheory.deep.learner import Learner

torch.set_num_threads(1)
ALGORITHMS = [
    PPO(entropy_coef=0.01, dual=3.0),
    BPO(temperature=0.5, entropy_coef=0.01),
    BPO(use_median=False, max_grad_norm=1e-2),
    R2VPO(entropy_coef=0.01),
    TRPO(),
]


def case(algorithm, head, n=32, seed=0, hidden=(8, 8)):
    """Networks away from their initial parameters, and a table of decisions with ratios away from 1."""
    rng = np.random.default_rng(seed)
    nets = ActorCritic(3, head, Network(hidden), algorithm.has_median)
    theta = nets.initial(rng) + 0.2 * torch.as_tensor(rng.standard_normal(nets.dim), dtype=torch.float32)
    x = rng.standard_normal((n, 3))
    actions = (
        rng.integers(head.outputs, size=(n, 1)) if head.width == 1 else rng.standard_normal((n, head.width))
    )
    x, actions = (torch.as_tensor(a, dtype=torch.float32) for a in (x, actions))
    with torch.no_grad():
        old = nets.outputs(nets.split(theta), x, actions).log_prob
    rest = torch.as_tensor(rng.standard_normal((n, 3)), dtype=torch.float32)
    rest[:, 0] = old + 0.3 * rest[:, 0]
    return nets, theta, torch.cat([x, actions, rest], 1)


@pytest.mark.parametrize("head", [Categorical(3), Gaussian(2)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_steps_are_those_of_torch(algorithm, head):
    nets, theta, table = case(algorithm, head)
    learner = Learner(algorithm, nets, compiled=False)
    parameter = torch.nn.Parameter(theta.clone())
    adam = torch.optim.Adam([parameter], lr=3e-3, eps=1e-5)
    multiplier = expected_multiplier = torch.tensor(algorithm.initial_multiplier())
    state, steps = (theta, torch.zeros_like(theta), torch.zeros_like(theta)), sizes(0, 6, 3e-3)
    for i in range(6):
        rows = table[torch.arange(i, i + 16)]
        *state, multiplier, norm = learner._step(*state, multiplier, rows, steps[i])
        adam.zero_grad()
        loss, expected_multiplier = learner._loss(nets.split(parameter), rows, expected_multiplier)
        loss.backward()
        torch.testing.assert_close(norm, clip_grad_norm_([parameter], algorithm.max_grad_norm))
        adam.step()
        torch.testing.assert_close(state[0], parameter.detach(), atol=2e-6, rtol=2e-5)
        torch.testing.assert_close(multiplier, expected_multiplier)
    assert (state[0] - theta).abs().max() > 1e-3


def test_step_sizes_go_on_where_they_were():
    torch.testing.assert_close(sizes(0, 10, 0.1)[4:], sizes(4, 6, 0.1))
    one, root = sizes(2, 1, 0.1)[0]
    assert float(one) == pytest.approx(0.1 / (1 - 0.9**3))
    assert float(root) == pytest.approx((1 - 0.999**3) ** 0.5)
    start = Adam.start(torch.ones(2))
    assert start.t == 0
    assert torch.equal(start.first, torch.zeros(2))


def test_a_gradient_within_the_bound_is_not_scaled_up():
    def loss(pieces, rows, multiplier):
        return 0.01 * pieces[0].sum(), multiplier

    step = make_step(loss, lambda t: [t], max_grad_norm=1.0, epsilon=1e-5, compiled=False)
    zeros = torch.zeros(4)
    _, first, second, _, norm = step(zeros, zeros, zeros, torch.tensor(0.0), zeros, sizes(0, 1, 0.1)[0])
    assert float(norm) == pytest.approx(0.02)
    torch.testing.assert_close(first, torch.full((4,), 0.001))
    torch.testing.assert_close(second, torch.full((4,), 1e-7))


def compare_compiled(algorithm, head, **settings):
    nets, theta, table = case(algorithm, head, **settings)
    zeros, multiplier = torch.zeros_like(theta), torch.tensor(algorithm.initial_multiplier())
    eager, compiled = (Learner(algorithm, nets, compiled=which) for which in (False, True))
    states = [(theta, zeros, zeros, multiplier)] * 2
    for i, size in enumerate(sizes(0, 3, 3e-3)):
        rows = table[i : i + 16]
        *one, norm = eager._step(*states[0], rows, size)
        *other, norm_compiled = compiled._step(*states[1], rows, size)
        torch.testing.assert_close((*other, norm_compiled), (*one, norm), atol=2e-6, rtol=2e-4)
        states = [one, other]


@pytest.mark.parametrize("head", [Categorical(3), Gaussian(2)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_traced_for_the_compiler_is_the_same_function(algorithm, head, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)
    compare_compiled(algorithm, head)


@dataclass(frozen=True, kw_only=True)
class AllAtOnce(OnPolicy):
    """The sum of the losses (TRPO's is in each of them): one compilation for all."""

    has_median = True

    def initial_multiplier(self):
        return 1.0

    def loss(self, out, batch, multiplier):
        losses = [algorithm.loss(out, batch, multiplier) for algorithm in (ALGORITHMS[0], BPO(), R2VPO())]
        return sum(loss for loss, _ in losses), losses[-1][1]


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a C++ compiler")
def test_compiled_is_the_same_function():
    compare_compiled(AllAtOnce(), Gaussian(2), hidden=(4,))
