"""The networks of soft actor-critic: a squashed Gaussian actor, and two critics in one batch."""

from __future__ import annotations

from itertools import pairwise
from math import log, pi

import torch
from torch import Tensor
from torch.nn import functional as F

from pgtheory.hybrid.lock import N_ACTIONS

LOG_STD = (-10.0, 2.0)


class Actor(torch.nn.Module):
    """Observations [n, size] → actions [n, 10] in [0, 1] and their log-densities [n]."""

    def __init__(self, size: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = _layers((size, *hidden, 2 * N_ACTIONS))

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        mean, log_std = self.layers[-1](x).chunk(2, -1)
        log_std = log_std.clamp(*LOG_STD)
        u = mean + log_std.exp() * noise
        # density of sigmoid(2u) = (tanh(u) + 1) / 2
        inside = -0.5 * noise**2 - log_std - 0.5 * log(2 * pi)
        slope = log(2.0) + F.logsigmoid(2 * u) + F.logsigmoid(-2 * u)
        return torch.sigmoid(2 * u), (inside - slope).sum(-1)


class Critics(torch.nn.Module):
    """Observations and actions [n, size + 10] → values [2, n] of two critics, layer norm before each ReLU."""

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        towers = [_layers((inputs, *hidden, 1)) for _ in range(2)]
        pairs = [list(pair) for pair in zip(*towers)]
        self.weights = torch.nn.ParameterList(torch.stack([one.weight.T for one in pair]) for pair in pairs)
        self.biases = torch.nn.ParameterList(
            torch.stack([one.bias for one in pair])[:, None] for pair in pairs
        )

    def forward(self, inputs: Tensor) -> Tensor:
        h, last = inputs.expand(2, *inputs.shape), len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            h = torch.baddbmm(bias, h, weight)
            if i < last:
                h = F.relu(F.layer_norm(h, h.shape[-1:]))
        return h[..., 0]


def _layers(widths: tuple[int, ...]) -> torch.nn.ModuleList:
    return torch.nn.ModuleList(torch.nn.Linear(i, o) for i, o in pairwise(widths))
