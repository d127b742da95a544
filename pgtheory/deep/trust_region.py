r"""Natural-gradient steps on a flat parameter vector: the best linear step inside a ball of KL divergence.

.. math:: \min_\Delta\ g^\top\Delta\quad\text{s.t.}\quad\tfrac12\,\Delta^\top F\,\Delta\le\delta

is solved by :math:`\Delta=\beta x` with :math:`x=-F^{-1}g` and :math:`\beta=\sqrt{2\delta/x^\top Fx}`. *F* is the
Hessian of the mean divergence at :math:`\theta_0`, known only through its products; conjugate gradients do with those.

Sources: Kakade 2001; Schulman et al. 2015 (arXiv:1502.05477, App. C); Rajeswaran et al. 2017 (arXiv:1703.02660, Eq. 5).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pgtheory.mdp import validate

Function = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Step:
    r"""Where a step led.

    Attributes
    ----------
    theta : tensor [dim]
        The parameters after it; a copy of the old ones, bit for bit, if it was not accepted.
    accepted : bool
    kl, improvement : float
        Mean divergence from the old policy, and how far the surrogate loss fell, at ``theta``: 0 if not accepted.
    backtracks : int
        How often the step was shrunk.
    cg_residual : float
        :math:`\lVert g+(F+\text{damping})x\rVert/\lVert g\rVert`, by conjugate gradients' own recurrence.
    """

    theta: torch.Tensor
    accepted: bool
    kl: float
    improvement: float
    backtracks: int
    cg_residual: float


def conjugate_gradient(
    apply: Function, b: torch.Tensor, *, iterations: int = 10, tol: float = 1e-10, damping: float = 0.0
) -> tuple[torch.Tensor, float]:
    r"""Solve :math:`(A+\text{damping}\,I)\,x=b` for a symmetric, positive semi-definite *A*, from :math:`x=0`.

    Exact after as many iterations as *A* has distinct eigenvalues, up to rounding. Where *A* is singular and *b* in its
    range, the solution is the shortest. A direction without positive curvature ends the search.

    Parameters
    ----------
    apply : callable
        :math:`v\mapsto Av`, tensors [dim].
    b : tensor [dim]
    iterations : int
        Products with *A* at most.
    tol : float
        Relative residual at which to stop.
    damping : float

    Returns
    -------
    tuple of tensor [dim] and float
        *x* and its relative residual :math:`\lVert b-(A+\text{damping}\,I)x\rVert/\lVert b\rVert`, 0 for :math:`b=0`.

    Raises
    ------
    TypeError, ValueError
        If ``b`` is no floating-point vector, or a number is out of range.

    Source: Hestenes and Stiefel 1952.
    """
    _vector("b", b)
    iterations = validate.positive_integer("iterations", iterations)
    tol, damping = validate.non_negative("tol", tol), validate.non_negative("damping", damping)
    x, r, p = torch.zeros_like(b), b, b
    squared = total = r @ r
    for _ in range(iterations):
        if not squared > tol**2 * total:
            break
        Ap = apply(p) + damping * p
        curvature = p @ Ap
        if curvature <= 0:
            break
        alpha = squared / curvature
        x, r = x + alpha * p, r - alpha * Ap
        before, squared = squared, r @ r
        p = r + squared / before * p
    return x, 0.0 if total == 0 else float((squared / total).sqrt())


def fisher_product(kl: Function, theta: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    r""":math:`\nabla^2\,\mathrm{kl}(\theta)\,v` [dim], the Fisher matrix times *v* where ``kl`` has its minimum.

    By differentiating twice, without forming the matrix.

    Parameters
    ----------
    kl : callable
        :math:`\theta\mapsto` mean :math:`\mathrm{KL}(\pi_{\theta_0}\Vert\pi_\theta)` over states, a scalar tensor.
    theta : tensor [dim]
        :math:`\theta_0`, for the Fisher matrix.
    v : tensor [dim]

    Raises
    ------
    TypeError, ValueError
        If an argument is no floating-point vector, or ``kl`` returns no scalar that depends on the parameters.
    """
    _vector("theta", theta)
    _vector("v", v)
    if v.shape != theta.shape:
        raise ValueError(f"v must have the shape of theta, {list(theta.shape)}, got {list(v.shape)}")
    return _hessian(kl, theta)(v)


def trust_region_step(
    surrogate: Function,
    kl: Function,
    theta: torch.Tensor,
    *,
    radius: float = 0.01,
    damping: float = 0.1,
    cg_iterations: int = 10,
    backtracks: int = 10,
    shrink: float = 0.8,
    accept: float = 0.0,
) -> Step:
    r"""TRPO's update (arXiv:1502.05477, App. C): a natural step, shrunk until it keeps its promises.

    Accepted is the first of :math:`\theta_0+c^j\beta x`, :math:`j=0,1,\dots`, whose divergence is at most ``radius``
    and whose surrogate loss fell. If none is, or a number on the way is not finite, the old parameters come back.

    Parameters
    ----------
    surrogate : callable
        :math:`\theta\mapsto` the loss to *minimise*, a scalar tensor.
    kl : callable
        As in ``fisher_product``.
    theta : tensor [dim]
        :math:`\theta_0`. Not changed.
    radius : float
        :math:`\delta`, in nats.
    damping : float
        Added to *F* where it is inverted; not where the step's length is measured.
    cg_iterations : int
    backtracks : int
        How often the step is shrunk at most.
    shrink : float
        *c*, in (0, 1).
    accept : float
        Share, in [0, 1), of the improvement expected from the gradient that must come true; with 0 any will do.

    Raises
    ------
    TypeError, ValueError
        If ``theta`` is no floating-point vector, a number is out of range, or a function returns no scalar that
        depends on the parameters.
    """
    backtracks = validate.positive_integer("backtracks", backtracks, 0)
    if not 0 < validate.finite("shrink", shrink) < 1:
        raise ValueError(f"shrink must lie in (0, 1), got {shrink}")
    if not 0 <= validate.finite("accept", accept) < 1:
        raise ValueError(f"accept must lie in [0, 1), got {accept}: the share of the expected improvement")
    loss, expected, full, residual = _full_step(surrogate, kl, theta, radius, damping, cg_iterations)
    for j in range(backtracks + 1):
        candidate = theta.detach() + shrink**j * full
        divergence, improvement = _measure(surrogate, kl, candidate, loss)
        if divergence <= radius and improvement > accept * shrink**j * expected:
            return Step(candidate, True, divergence, improvement, j, residual)
    return Step(theta.detach().clone(), False, 0.0, 0.0, backtracks, residual)


def natural_step(
    surrogate: Function,
    kl: Function,
    theta: torch.Tensor,
    *,
    radius: float = 0.01,
    damping: float = 0.1,
    cg_iterations: int = 10,
) -> Step:
    r"""Natural policy gradient with a normalised step (arXiv:1703.02660, Eq. 5): :math:`\theta_0+\beta x`, unsearched.

    Its divergence is ``radius`` only to second order, and nothing is demanded of the loss; but if a number on the
    way is not finite, the old parameters come back. Parameters and errors as in ``trust_region_step``.
    """
    loss, _, full, residual = _full_step(surrogate, kl, theta, radius, damping, cg_iterations)
    candidate = theta.detach() + full
    divergence, improvement = _measure(surrogate, kl, candidate, loss)
    if abs(divergence) + abs(improvement) < torch.inf:
        return Step(candidate, True, divergence, improvement, 0, residual)
    return Step(theta.detach().clone(), False, 0.0, 0.0, 0, residual)


def _full_step(
    surrogate: Function, kl: Function, theta: torch.Tensor, radius: float, damping: float, iterations: int
) -> tuple[float, float, torch.Tensor, float]:
    r"""Loss at :math:`\theta_0`, improvement expected, the step :math:`\beta x` [dim] and the relative residual."""
    _vector("theta", theta)
    radius = validate.positive("radius", radius)
    here = theta.detach().requires_grad_()
    loss = _scalar("surrogate", surrogate(here))
    (gradient,) = torch.autograd.grad(loss, here)
    F = _hessian(kl, theta)
    x, residual = conjugate_gradient(F, -gradient, iterations=iterations, damping=damping)
    # No curvature along x, as where the gradient is 0: an infinite step or 0/0, which no caller accepts.
    step = (2 * radius / (x @ F(x))).sqrt() * x
    return loss.item(), -float(gradient @ step), step, residual


def _measure(surrogate: Function, kl: Function, theta: torch.Tensor, loss: float) -> tuple[float, float]:
    """Divergence at theta, and how far the loss fell; NaN where the parameters are not finite."""
    if not theta.isfinite().all():
        return torch.nan, torch.nan
    with torch.no_grad():
        return float(kl(theta)), loss - float(surrogate(theta))


def _hessian(kl: Function, theta: torch.Tensor) -> Function:
    r""":math:`v\mapsto\nabla^2\,\mathrm{kl}(\theta)\,v`, with the first derivative taken once for all *v*."""
    here = theta.detach().requires_grad_()
    divergence = _scalar("kl", kl(here))
    (gradient,) = torch.autograd.grad(divergence, here, create_graph=True)

    def product(v: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(gradient, here, v, retain_graph=True)[0]

    return product


def _vector(name: str, value: torch.Tensor) -> None:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(f"{name} must be a floating-point tensor, got {kind}")
    if value.ndim != 1:
        raise ValueError(f"{name} must be a vector [dim], got shape {list(value.shape)}: flatten it first")


def _scalar(name: str, value: torch.Tensor) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.ndim != 0 or not value.requires_grad:
        raise ValueError(
            f"{name} must return a scalar tensor that depends on the parameters it is given, got {value!r}"
        )
    return value
