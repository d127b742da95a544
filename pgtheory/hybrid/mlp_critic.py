r"""Tanh networks as critics, one for every step of the horizon, fitted in full batches by Adam.

Gradients are written out: for networks this small, what automatic differentiation does around the arithmetic costs more
than the arithmetic. A critic's parameters are a row of an array [H, dim]: weights by rows, then biases, layer by layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from pgtheory.mdp import validate

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
OUTPUT_SCALE = 0.1  # of the last layer's initial weights


@dataclass(frozen=True)
class MLPCritic:
    """Q(x, a) of tanh layers on the concatenation of observation and action.

    Parameters
    ----------
    inputs : int
        Length of observation and action together.
    hidden : tuple of int
    """

    inputs: int
    hidden: tuple[int, ...] = (64, 64)

    def __post_init__(self) -> None:
        validate.positive_integer("inputs", self.inputs)
        widths = validate.sequence("hidden", self.hidden, "layer widths such as (64, 64)")
        object.__setattr__(
            self, "hidden", tuple(validate.positive_integer(f"hidden[{i}]", w) for i, w in enumerate(widths))
        )

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        return list(pairwise((self.inputs, *self.hidden, 1)))

    @cached_property
    def dim(self) -> int:
        """Number of parameters."""
        return sum((inputs + 1) * outputs for inputs, outputs in self.shapes)

    def initial(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Parameters [n, dim] to start from, as ``initial_layers`` draws them."""
        return initial_layers(self.shapes, n, rng)

    def values(self, theta: np.ndarray, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Q [..., m] at observations x [..., m, size] and actions a [..., m, k], theta [..., dim]."""
        h = np.concatenate([x, a], axis=-1)
        *layers, (last, shift) = self._layers(theta)
        for weight, bias in layers:
            h = np.tanh(h @ weight + bias[..., None, :])
        return (h @ last + shift[..., None, :])[..., 0]

    def gradient(
        self, theta: np.ndarray, inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray
    ) -> tuple[float, np.ndarray]:
        r"""Loss :math:`\sum_iw_i(Q(x_i,a_i)-y_i)^2` and its gradient [dim], targets held constant.

        Parameters
        ----------
        theta : array [dim]
        inputs : array [m, inputs]
            Observation and action side by side.
        targets, weights : array [m]
        """
        out = np.empty_like(theta)
        layers, slopes = self._layers(theta), self._layers(out)
        return self._backward(layers, slopes, inputs, targets, weights, self._buffers(len(inputs))), out

    def fit(
        self,
        theta: np.ndarray,
        inputs: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        *,
        steps: int,
        learning_rate: float,
    ) -> float:
        """Take ``steps`` of a new Adam on the loss of ``gradient``, changing theta [dim] in place; the last loss."""
        gradient, buffers = np.empty_like(theta), self._buffers(len(inputs))
        layers, slopes = self._layers(theta), self._layers(gradient)  # views: they follow
        first, second, scratch = np.zeros_like(theta), np.zeros_like(theta), np.empty_like(theta)
        loss = float("nan")
        for t in range(1, steps + 1):
            loss = self._backward(layers, slopes, inputs, targets, weights, buffers)
            first *= BETA1
            first += (1 - BETA1) * gradient
            second *= BETA2
            gradient *= gradient
            gradient *= 1 - BETA2
            second += gradient
            np.sqrt(second, out=scratch)
            scratch /= (1 - BETA2**t) ** 0.5
            scratch += EPSILON
            np.divide(first, scratch, out=scratch)
            scratch *= learning_rate / (1 - BETA1**t)
            theta -= scratch
        return loss

    def _backward(
        self,
        layers: list[tuple[np.ndarray, np.ndarray]],
        slopes: list[tuple[np.ndarray, np.ndarray]],
        inputs: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
        buffers: list[tuple[np.ndarray, ...]],
    ) -> float:
        """Loss; its gradient goes to ``slopes``. ``buffers``: each hidden layer, its error, its slope."""
        h = inputs
        for (weight, bias), (hidden, _, _) in zip(layers, buffers):
            np.matmul(h, weight, out=hidden)
            hidden += bias
            h = np.tanh(hidden, out=hidden)
        residual = (h @ layers[-1][0])[:, 0] + layers[-1][1] - targets
        error = (2 * weights * residual)[:, None]
        for i in range(len(layers) - 1, -1, -1):
            below = inputs if i == 0 else buffers[i - 1][0]
            np.matmul(below.T, error, out=slopes[i][0])
            slopes[i][1][:] = error.sum(0)
            if i > 0:
                passed = np.matmul(error, layers[i][0].T, out=buffers[i - 1][1])
                slope = np.multiply(below, below, out=buffers[i - 1][2])
                np.subtract(1, slope, out=slope)
                error = np.multiply(passed, slope, out=passed)
        return float(weights @ residual**2)

    def _buffers(self, m: int) -> list[tuple[np.ndarray, ...]]:
        """Room for three arrays [m, width] a hidden layer: taken once, not at each of hundreds of steps."""
        return [tuple(np.empty((3, m, width))) for width in self.hidden]

    def _layers(self, theta: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights [..., inputs, outputs] and biases [..., outputs], views of theta [..., dim]."""
        layers, start, batch = [], 0, theta.shape[:-1]
        for inputs, outputs in self.shapes:
            middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
            layers.append((theta[..., start:middle].reshape(*batch, inputs, outputs), theta[..., middle:end]))
            start = end
        return layers


def initial_layers(shapes: list[tuple[int, int]], n: int, rng: np.random.Generator) -> np.ndarray:
    r"""Layers [n, dim] as the official code starts them: uniform up to 1/√inputs, the last one a tenth and no bias."""
    parts = []
    for i, (inputs, outputs) in enumerate(shapes):
        last = i == len(shapes) - 1
        bound = (OUTPUT_SCALE if last else 1.0) / inputs**0.5
        parts.append(rng.uniform(-bound, bound, (n, inputs * outputs)))
        parts.append(np.zeros((n, outputs)) if last else rng.uniform(-bound, bound, (n, outputs)))
    return np.concatenate(parts, axis=1)
