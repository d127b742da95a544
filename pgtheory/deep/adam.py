"""Adam on one flat vector, and the step of a loss that can be compiled as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

BETA1, BETA2 = 0.9, 0.999


class Adam(NamedTuple):
    """Parameters [dim], Adam's two moments [dim], and the number of steps taken."""

    theta: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    t: int

    @classmethod
    def start(cls, theta: torch.Tensor) -> Adam:
        """No steps taken."""
        return cls(theta, torch.zeros_like(theta), torch.zeros_like(theta), 0)


Loss = Callable[[list[torch.Tensor], torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Step = Callable[..., tuple[torch.Tensor, ...]]


def sizes(t: int, n: int, learning_rate: float) -> torch.Tensor:
    r"""Step sizes and roots of the bias correction of Adam's next n steps after t, [n, 2]."""
    steps = torch.arange(t + 1, t + n + 1, dtype=torch.float64)
    return torch.stack([learning_rate / (1 - BETA1**steps), (1 - BETA2**steps).sqrt()], 1).float()


def make_step(
    loss: Loss,
    split: Callable[[torch.Tensor], list[torch.Tensor]],
    *,
    max_grad_norm: float,
    epsilon: float,
    compiled: bool,
) -> Step:
    """One step of Adam down a clipped gradient.

    Parameters
    ----------
    loss : callable
        (pieces, rows, multiplier) → (scalar, multiplier).
    split : callable
        The flat vector's pieces, as views.
    compiled : bool
        Compile loss, gradient and update to one function. It computes the same up to rounding, several times faster
        on small networks, after some ten seconds of compilation.

    Returns
    -------
    callable
        (theta, first, second, multiplier, rows, sizes [2]) → (theta, first, second, multiplier, gradient norm).
    """

    def descend(
        theta: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        gradient: torch.Tensor,
        size: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        norm = gradient.norm()
        gradient = gradient * (max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
        first = BETA1 * first + (1 - BETA1) * gradient
        second = BETA2 * second + (1 - BETA2) * gradient * gradient
        theta = theta - size[0] * first / (second.sqrt() / size[1] + epsilon)
        return theta, first, second, norm

    def whole(
        theta: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        multiplier: torch.Tensor,
        rows: torch.Tensor,
        size: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        def of_theta(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return loss(split(theta), rows, multiplier)

        gradient, multiplier = torch.func.grad(of_theta, has_aux=True)(theta)
        theta, first, second, norm = descend(theta, first, second, gradient, size)
        return theta, first, second, multiplier, norm

    def in_pieces(
        theta: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
        multiplier: torch.Tensor,
        rows: torch.Tensor,
        size: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        pieces = [piece.detach().requires_grad_() for piece in split(theta)]  # cheaper than through the views
        total, multiplier = loss(pieces, rows, multiplier)
        gradients = torch.autograd.grad(total, pieces, materialize_grads=True)
        with torch.no_grad():
            gradient = torch.cat([g.reshape(-1) for g in gradients])
            theta, first, second, norm = descend(theta, first, second, gradient, size)
        return theta, first, second, multiplier.detach(), norm

    return _compiled(whole) if compiled else in_pieces


def _compiled(step: Step) -> Step:
    """Trace a step's tensor operations on its first arguments, then compile what was traced.

    Tracing runs the loss as it is, whatever Python it is written in; shapes must stay what they were.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    ready: list[Step] = []

    def call(*arguments: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if not ready:
            apart = [argument.clone() for argument in arguments]  # one tensor given twice is traced as one
            ready.append(torch.compile(make_fx(step)(*apart), fullgraph=True, dynamic=False))
        return ready[0](*arguments)

    return call
