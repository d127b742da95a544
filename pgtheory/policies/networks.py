r"""Policies that are networks of tanh layers, under a softmax or a Gaussian head, on a flat parameter vector.

Everything here is a function of ``theta`` [..., dim] and a batch of observations, written with batched
products: leading axes of ``theta`` are seeds, each with parameters of its own, and ``torch.func`` takes
derivatives through it. With ``hidden=()`` there are no layers and the logits (or means) are affine in the
observation. All in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log, pi
from typing import Any, ClassVar

import numpy as np
import torch

from pgtheory.mdp import validate

OUTPUT_SCALE = 0.01  # of initial weights under the head: the first policy hardly looks at what it observes


@dataclass(frozen=True)
class Network(ABC):
    """Tanh layers on a flat parameter vector; subclasses put a distribution over actions on their outputs.

    The vector holds, layer by layer, the weights [inputs, outputs] by rows and then the biases.

    Parameters
    ----------
    n_observations : int
        Length of an observation.
    n_actions : int
        Number of actions, or of components of a continuous action.
    hidden : tuple of int
        Widths of the tanh layers; empty for a linear policy.
    """

    n_observations: int
    n_actions: int
    hidden: tuple[int, ...] = (32,)

    discrete: ClassVar[bool]

    def __post_init__(self) -> None:
        validate.positive_integer("n_observations", self.n_observations)
        validate.positive_integer("n_actions", self.n_actions)
        widths = validate.sequence("hidden", self.hidden, "layer widths such as (32,)")
        checked = tuple(validate.positive_integer(f"hidden[{i}]", width) for i, width in enumerate(widths))
        object.__setattr__(self, "hidden", checked)  # a list is accepted, a tuple can be hashed

    @cached_property
    def dim(self) -> int:
        """Number of parameters."""
        return sum((inputs + 1) * outputs for inputs, outputs in self._shapes())

    def initial(self, seeds: Iterable[int]) -> np.ndarray:
        """Parameters [seeds, dim] to start from; each row is a function of its seed alone.

        Weights are normal with variance 1 / inputs, a hundred times smaller under the head; biases are zero.
        """
        return np.stack([self._draw(np.random.default_rng(seed)) for seed in _seeds(seeds)])

    def outputs(self, theta: Any, observations: Any, tanh: Callable[[Any], Any] = torch.tanh) -> Any:
        """What the last layer says, [..., N, n_actions], to observations [..., N, n_observations]."""
        x = observations
        *layers, (last, shift) = self._layers(theta)
        for weight, bias in layers:
            x = tanh(x @ weight + bias)
        return x @ last + shift

    @abstractmethod
    def log_prob(self, theta: Any, observations: Any, actions: Any) -> torch.Tensor:
        r""":math:`\log\pi_\theta(a|s)` [..., N] of actions taken at observations [..., N, n_observations]."""

    @abstractmethod
    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """The randomness that ``sample`` needs for a batch of this shape."""

    @abstractmethod
    def sample(self, theta: np.ndarray, observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Actions [..., N] (continuous ones [..., N, n_actions]) as a function of the noise.

        In NumPy: a sampler calls this at every step of every episode, where torch takes twice as long.
        """

    def check(self, theta: Any, name: str = "theta") -> np.ndarray:
        """``theta`` as a float64 array [..., dim], possibly not finite, or an error that calls it ``name``."""
        return validate.trailing(name, theta, (self.dim,), "[..., dim]").astype(np.float64, copy=False)

    def _shapes(self) -> list[tuple[int, int]]:
        return list(pairwise((self.n_observations, *self.hidden, self.n_actions)))

    def _layers(self, theta: Any) -> Iterator[tuple[Any, Any]]:
        """Weights [..., inputs, outputs] and biases [..., 1, outputs], views of the flat vector."""
        batch, start = theta.shape[:-1], 0
        for inputs, outputs in self._shapes():
            middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
            weight = theta[..., start:middle].reshape(*batch, inputs, outputs)
            yield weight, theta[..., middle:end].reshape(*batch, 1, outputs)
            start = end

    def _draw(self, generator: np.random.Generator) -> np.ndarray:
        shapes = self._shapes()
        scales = [1.0] * (len(shapes) - 1) + [OUTPUT_SCALE]
        parts = []
        for (inputs, outputs), scale in zip(shapes, scales):
            parts += [generator.normal(scale=scale / inputs**0.5, size=inputs * outputs), np.zeros(outputs)]
        return np.concatenate(parts)


@dataclass(frozen=True)
class CategoricalNetwork(Network):
    """Finitely many actions, with the network's outputs as logits; ``hidden=()`` is linear softmax."""

    discrete: ClassVar[bool] = True

    def log_prob(self, theta: Any, observations: Any, actions: Any) -> torch.Tensor:
        theta, observations = _tensor(theta), _tensor(observations)
        chosen = torch.as_tensor(actions, dtype=torch.int64)[..., None]
        return torch.log_softmax(self.outputs(theta, observations), -1).gather(-1, chosen)[..., 0]

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return generator.random(shape)

    def sample(self, theta: np.ndarray, observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        x = self.outputs(theta, observations, np.tanh)
        cumulative = np.exp(x - x.max(-1, keepdims=True)).cumsum(-1)
        return (noise[..., None] * cumulative[..., -1:] >= cumulative[..., :-1]).sum(-1)


@dataclass(frozen=True)
class GaussianNetwork(Network):
    r"""Continuous actions :math:`a\sim\mathcal N(\mu_\theta(s),\mathrm{diag}(e^{2\rho}))`.

    The network's outputs are the means; the log standard deviations :math:`\rho`, learned and the same at
    every observation, are the last ``n_actions`` parameters.

    Parameters
    ----------
    log_std : float
        Initial log standard deviation of every component.
    """

    log_std: float = 0.0

    discrete: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.finite("log_std", self.log_std)

    @cached_property
    def dim(self) -> int:
        """Number of parameters."""
        return sum((inputs + 1) * outputs for inputs, outputs in self._shapes()) + self.n_actions

    def log_prob(self, theta: Any, observations: Any, actions: Any) -> torch.Tensor:
        theta, observations, actions = _tensor(theta), _tensor(observations), _tensor(actions)
        log_std = theta[..., None, -self.n_actions :]
        z = (actions - self.outputs(theta, observations)) * torch.exp(-log_std)
        return -(0.5 * z**2 + log_std + 0.5 * log(2 * pi)).sum(-1)

    def noise(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return generator.standard_normal((*shape, self.n_actions))

    def sample(self, theta: np.ndarray, observations: np.ndarray, noise: np.ndarray) -> np.ndarray:
        return (
            self.outputs(theta, observations, np.tanh) + np.exp(theta[..., None, -self.n_actions :]) * noise
        )

    def _draw(self, generator: np.random.Generator) -> np.ndarray:
        return np.concatenate([super()._draw(generator), np.full(self.n_actions, float(self.log_std))])


def _tensor(x: Any) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64)


def _seeds(seeds: Iterable[int]) -> list[int]:
    given = validate.sequence("seeds", seeds, "integers")
    if not given:
        raise ValueError("seeds must hold at least one integer, got none")
    return [validate.positive_integer(f"seeds[{i}]", seed, 0) for i, seed in enumerate(given)]
