r"""Natural-gradient steps of many small policies at once, each in its own ball of KL divergence.

As :mod:`pgtheory.deep.trust_region`, with a leading axis of blocks that share nothing: one product with all their
Fisher matrices costs little more than one with a single one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

Function = Callable[[torch.Tensor], torch.Tensor]


class Steps(NamedTuple):
    """Parameters [blocks, dim] after the steps, which of them were accepted [blocks], and the KL [blocks] of each."""

    theta: torch.Tensor
    accepted: torch.Tensor
    kl: torch.Tensor


def conjugate_gradients(
    apply: Function, b: torch.Tensor, *, iterations: int = 10, tol: float = 1e-10, damping: float = 0.0
) -> torch.Tensor:
    r"""Solve :math:`(A_i+\text{damping}\,I)\,x_i=b_i` for every row of b [blocks, dim].

    ``apply`` is :math:`v\mapsto Av`.

    Each block is what :func:`pgtheory.deep.trust_region.conjugate_gradient` makes of it alone.
    """
    x, r, p = torch.zeros_like(b), b, b
    total = squared = (r * r).sum(1, keepdim=True)
    for _ in range(iterations):
        Ap = apply(p) + damping * p
        curvature = (p * Ap).sum(1, keepdim=True)
        going = (squared > tol**2 * total) & (curvature > 0)
        if not going.any():
            break
        alpha = torch.where(going, squared / curvature, 0.0)
        x, r = x + alpha * p, r - alpha * Ap
        before, squared = squared, (r * r).sum(1, keepdim=True)
        p = torch.where(going, r + squared / before * p, p)
    return x


def natural_steps(
    surrogate: Function,
    kl: Function,
    theta: torch.Tensor,
    *,
    radius: float = 0.01,
    damping: float = 0.1,
    cg_iterations: int = 10,
    backtracks: int = 9,
    accept: float = 0.1,
    search_kl: bool = False,
) -> Steps:
    r"""One step of every block as the official code of arXiv:2311.08384 takes it.

    The direction is that of ``trust_region_step``; its length makes :math:`\tfrac12x^\top(F+\text{damping}\,I)x`, with
    the damping, equal to ``radius``. The line search halves the step until the surrogate has fallen by more than the
    share ``accept`` of what the gradient promised, and asks about the divergence only if told to.

    Parameters
    ----------
    surrogate, kl : callable
        Parameters [blocks, dim] → losses to minimise, mean divergences from theta [blocks], each of its own row alone.
    theta : tensor [blocks, dim]
        Not changed; a block without an acceptable step comes back as it was.
    search_kl : bool
        Demand a divergence of at most ``radius`` too.
    """
    here = theta.detach().requires_grad_()
    before = surrogate(here)
    (gradient,) = torch.autograd.grad(before.sum(), here)
    (slope,) = torch.autograd.grad(kl(here).sum(), here, create_graph=True)

    def fisher(v: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(slope, here, v, retain_graph=True)[0]

    with torch.no_grad():
        before, theta = before.detach(), theta.detach()
    x = conjugate_gradients(fisher, -gradient, iterations=cg_iterations, damping=damping)
    length = (2 * radius / (x * (fisher(x) + damping * x)).sum(1)).sqrt()
    full = length[:, None] * x
    promised = -(gradient * full).sum(1)
    taken = torch.zeros_like(length)
    accepted = torch.zeros_like(length, dtype=torch.bool)
    with torch.no_grad():
        for j in range(backtracks + 1):
            candidate = theta + 0.5**j * full
            fell = before - surrogate(candidate)
            good = ~accepted & (fell > 0) & (fell > accept * 0.5**j * promised)
            if search_kl:
                good &= kl(candidate) <= radius
            taken[good] = 0.5**j
            accepted |= good
            if accepted.all():
                break
        theta = torch.where(accepted[:, None], theta + taken[:, None] * full, theta)
        return Steps(theta, accepted, kl(theta))
