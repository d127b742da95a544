"""Actor, critic and median head as functions of one flat parameter vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pgtheory.deep.heads import Categorical, Head
from pgtheory.mdp import validate

ACTIVATIONS: dict[str, tuple[Callable[..., torch.Tensor], Callable[..., np.ndarray]]] = {
    "tanh": (torch.tanh, np.tanh),
    "relu": (torch.relu, lambda x: np.maximum(x, 0)),
}


class Outputs(NamedTuple):
    """What the networks say about decisions [n]; ``median`` is the value where there is no median head."""

    log_prob: torch.Tensor
    entropy: torch.Tensor
    value: torch.Tensor
    median: torch.Tensor


@dataclass(frozen=True)
class Network:
    r"""Sizes and initialisation of the networks.

    Hidden weights are orthogonal with gain :math:`\sqrt2`, the actor's last layer 0.01, the critic's 1, biases zero
    (the usual ones of PPO). The median head is an MLP of the same hidden sizes on top of the critic's last hidden
    layer, with gain 1 throughout (the official code of BPO).

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers of actor and critic, which share nothing.
    activation : {"tanh", "relu"}
    log_std : float
        Initial log standard deviation of continuous actions.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    log_std: float = 0.0

    def __post_init__(self) -> None:
        widths = validate.sequence("hidden", self.hidden, "layer widths such as (64, 64)")
        checked = tuple(validate.positive_integer(f"hidden[{i}]", width) for i, width in enumerate(widths))
        if not checked:
            raise ValueError("hidden must name at least one layer width, such as (64, 64)")
        object.__setattr__(self, "hidden", checked)
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")
        validate.finite("log_std", self.log_std)


@dataclass(frozen=True)
class ActorCritic:
    """The networks for one kind of observation and action, on a flat float32 vector ``theta`` [dim].

    The vector holds the actor first (``actor_dim`` entries: layers, then the head's own parameters), then the critic,
    then the median head. Everything that takes ``parameters`` takes the pieces that ``split`` returns, so that a caller
    decides whether derivatives are taken by the vector or by its pieces.
    """

    n_observations: int
    head: Head
    network: Network = Network()
    median: bool = False

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the pieces of the parameter vector, in order."""
        return tuple(shape for shape, _ in self._pieces())

    @cached_property
    def dim(self) -> int:
        """Number of parameters."""
        return sum(prod(shape) for shape in self.shapes)

    @cached_property
    def actor_dim(self) -> int:
        """Number of parameters of the actor, the first ones."""
        return sum(prod(shape) for shape in self.shapes[: self._actor_pieces])

    def initial(self, rng: np.random.Generator) -> torch.Tensor:
        """Parameters [dim] to start from."""
        parts = []
        for shape, gain in self._pieces():
            if len(shape) == 2:
                parts.append(gain * _orthogonal(rng, shape).ravel())
            else:
                parts.append(np.zeros(shape[0]))
        parts[self._actor_pieces - 1] = self.head.initial()
        return torch.as_tensor(np.concatenate(parts), dtype=torch.float32)

    def split(self, theta: torch.Tensor) -> list[torch.Tensor]:
        """The pieces of the vector, as views."""
        sizes = [prod(shape) for shape in self.shapes]
        return [piece.view(shape) for piece, shape in zip(theta.split(sizes), self.shapes)]

    def actor(
        self, parameters: Sequence[torch.Tensor], observations: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs [n, head.outputs] at observations [n, d], and the head's own parameters."""
        own = self._actor_pieces - 1
        return self._mlp(parameters[:own], observations)[0], parameters[own]

    def critic(
        self, parameters: Sequence[torch.Tensor], observations: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and medians [n] at observations [n, d]."""
        layers = 2 * (len(self.network.hidden) + 1)
        start = self._actor_pieces
        value, trunk = self._mlp(parameters[start : start + layers], observations)
        median = self._mlp(parameters[start + layers :], trunk)[0] if self.median else value
        return value[:, 0], median[:, 0]

    def outputs(
        self, parameters: Sequence[torch.Tensor], observations: torch.Tensor, actions: torch.Tensor
    ) -> Outputs:
        """Everything a loss asks about actions [n, width] taken at observations [n, d]."""
        out, own = self.actor(parameters, observations)
        value, median = self.critic(parameters, observations)
        return Outputs(self.head.log_prob(out, own, actions), self.head.entropy(out, own), value, median)

    def _mlp(self, parameters: Sequence[torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Last layer's outputs, and the last hidden layer."""
        act = ACTIVATIONS[self.network.activation][0]
        *hidden, (weight, bias) = zip(parameters[::2], parameters[1::2])
        for w, b in hidden:
            x = act(torch.addmm(b, x, w))
        return torch.addmm(bias, x, weight), x

    @cached_property
    def _actor_pieces(self) -> int:
        return 2 * (len(self.network.hidden) + 1) + 1

    def _pieces(self) -> Iterator[tuple[tuple[int, ...], float]]:
        """Shape of every piece, and the gain of its initial weights."""
        hidden = self.network.hidden
        yield from _layers((self.n_observations, *hidden, self.head.outputs), sqrt(2), 0.01)
        yield (self.head.parameters,), 0.0
        yield from _layers((self.n_observations, *hidden, 1), sqrt(2), 1.0)
        if self.median:
            yield from _layers((hidden[-1], *hidden, 1), 1.0, 1.0)


class Agent:
    """A policy that acts, in NumPy: at a handful of observations torch takes twice as long.

    Parameters
    ----------
    networks : ActorCritic
    theta : tensor [dim]
        Not copied: the agent follows a vector that is changed in place.
    shift, scale : array [d], optional
        Observations are seen as ``(observation - shift) * scale``, at most 10 in absolute value.
    """

    def __init__(
        self,
        networks: ActorCritic,
        theta: torch.Tensor,
        shift: np.ndarray | None = None,
        scale: np.ndarray | None = None,
    ) -> None:
        if theta.shape != (networks.dim,):
            raise ValueError(f"theta must have shape [dim] = [{networks.dim}], got {list(theta.shape)}")
        self.networks, self.theta, self.shift, self.scale = networks, theta, shift, scale
        pieces = [piece.numpy() for piece in networks.split(theta.detach())][: networks._actor_pieces]
        self._layers, self._own = list(zip(pieces[:-1:2], pieces[1:-1:2])), pieces[-1]
        self._activation = ACTIVATIONS[networks.network.activation][1]

    @property
    def normalises(self) -> bool:
        """Whether observations are shifted and scaled before the networks see them."""
        return self.shift is not None

    def see(self, observations: np.ndarray) -> np.ndarray:
        """Observations [n, d] as the networks are given them."""
        if self.shift is None or self.scale is None:
            return observations
        return np.clip((observations - self.shift) * self.scale, -10, 10).astype(np.float32)

    def choose(self, seen: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Actions [n, width] at observations [n, d] as ``see`` returns them."""
        x = seen
        *hidden, (weight, bias) = self._layers
        for w, b in hidden:
            x = self._activation(x @ w + b)
        return self.networks.head.sample(x @ weight + bias, self._own, noise)

    def act(self, observations: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Actions [n] or [n, size] at observations [n, d]: drawn, or the most likely ones without a generator.

        Observations are flattened, or one-hot; continuous actions are not clipped to any bounds.
        """
        rows, head = np.asarray(observations, np.float32), self.networks.head
        if rows.ndim != 2 or rows.shape[1] != self.networks.n_observations:
            expected = f"[n, {self.networks.n_observations}]"
            raise ValueError(f"observations must have shape {expected}, got {list(rows.shape)}")
        noise = None if rng is None else head.noise(rng, (len(rows),))
        actions = self.choose(self.see(rows), noise)
        return actions[:, 0] if isinstance(head, Categorical) else actions

    def save(self, path: str | Path) -> Path:
        """Write the policy, and what rebuilds it, to one safetensors file; see ``agent_file``."""
        from pgtheory.deep.agent_file import save_agent

        return save_agent(self, path)

    @staticmethod
    def load(path: str | Path) -> Agent:
        """The policy that ``save`` wrote; see ``agent_file``."""
        from pgtheory.deep.agent_file import load_agent

        return load_agent(path)


def _layers(widths: tuple[int, ...], gain: float, last: float) -> Iterator[tuple[tuple[int, ...], float]]:
    shapes = list(pairwise(widths))
    for i, shape in enumerate(shapes):
        yield shape, last if i == len(shapes) - 1 else gain
        yield (shape[1],), 0.0


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A matrix with orthonormal rows or columns, uniform among them."""
    tall = rng.standard_normal((max(shape), min(shape)))
    q, r = np.linalg.qr(tall)
    q = q * np.sign(np.diag(r))
    return q if shape[0] >= shape[1] else q.T
