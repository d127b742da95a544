r"""The exact law of a group objective's update.

A group of G answers is drawn from :math:`\pi_{old}`, an objective turns it into a loss, and the update is
minus its gradient: a sum of the tokens' scores, with the loss's derivatives as coefficients. Of an answer,
the derivatives of this library's recipes depend on its reward, its length, its tokens' log-ratios and, with a
KL penalty, their log-ratios to the reference; those of any other function may depend on the log-probabilities
themselves. Answers alike in all of these form a class. Given how many members each class has, the
coefficients are fixed (the order of a group must not matter) and the answers within a class are independent
draws from it. So a sum over *counts* of classes, with multinomial probabilities, is the exact expectation
over all :math:`M^G` groups, and so is its second moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pgtheory.mdp import validate
from pgtheory.oracle.objective import Objective, adapt
from pgtheory.oracle.problem import Problem
from pgtheory.oracle.sums import Sum, Tables

MAX_SCORES = 30_000_000
"""Numbers in the table of all tokens' scores, above which no covariance is computed."""

BATCHES = 20
"""Parts of a sample, whose spread gives the standard error."""


@dataclass(frozen=True, eq=False)
class Law:
    r"""What an objective's update is, in expectation and around it.

    Attributes
    ----------
    update : tensor [dim]
        Expected ascent direction, minus the expected gradient of the loss.
    gradient : tensor [dim]
        :math:`\nabla J`.
    J : float
    covariance_trace : float or None
        Of one group's update; None where it was not computed.
    exact : bool
        Enumerated, or else a Monte Carlo estimate.
    standard_error : float
        Of ``update`` in norm, where it is an estimate; 0 if exact.
    terms : int
        Groups that were summed or sampled.
    """

    update: torch.Tensor
    gradient: torch.Tensor
    J: float
    covariance_trace: float | None
    exact: bool
    standard_error: float
    terms: int

    @property
    def scale(self) -> float:
        r"""Effective scale :math:`\eta=\langle u,\nabla J\rangle/\lVert\nabla J\rVert^2`: 1 for an unbiased update."""
        return float(self.update @ self.gradient / (self.gradient @ self.gradient))

    @property
    def cosine(self) -> float:
        r"""Cosine between the update and :math:`\nabla J`; NaN where one is zero."""
        norms = self.update.norm() * self.gradient.norm()
        return float(self.update @ self.gradient / norms) if norms > 0 else float("nan")

    @property
    def bias(self) -> float:
        r""":math:`\lVert u-\nabla J\rVert`."""
        return float((self.update - self.gradient).norm())

    @property
    def direction_bias(self) -> float:
        r""":math:`\lVert u-\eta\nabla J\rVert/\lVert u\rVert`, what no step size repairs; 0 to 1."""
        size = self.update.norm()
        return float((self.update - self.scale * self.gradient).norm() / size) if size > 0 else 0.0

    @property
    def signal_to_noise(self) -> float | None:
        r""":math:`\lVert u\rVert^2/\mathrm{tr}\,\mathrm{Cov}`."""
        if self.covariance_trace is None:
            return None
        energy = float(self.update @ self.update)
        return energy / self.covariance_trace if self.covariance_trace > 0 else float("inf")

    @property
    def rises(self) -> bool:
        """Whether J rises along the expected update, to first order."""
        return bool(self.update @ self.gradient > 0)


def law(
    objective: Objective,
    problem: Problem,
    theta: Any,
    group_size: int,
    *,
    theta_old: Any = None,
    theta_ref: Any = None,
    together: bool = False,
    max_terms: int = 200_000,
    samples: int = 20_000,
    rng: np.random.Generator | None = None,
    covariance: bool = True,
) -> Law:
    r"""The law of the update for groups drawn from :math:`\pi_{old}`.

    A recipe with ``mixed_only`` draws again what it drops: its law is conditional on groups of unequal rewards, and
    prompts weigh as often as theirs are kept (with ``together``, it is conditional on every prompt's group).

    Parameters
    ----------
    objective : Recipe or callable
        A callable takes ``Groups``, or tensors by name as in ``examine``, and returns a scalar loss; the order of
        a group's answers must not matter to it.
    problem : Problem
    theta : array [dim]
    group_size : int
    theta_old : array [dim], optional
        Of the policy that samples; ``theta`` by default.
    theta_ref : array [dim], optional
        Of the reference policy of a KL penalty; ``theta_old`` by default.
    together : bool
        One batch holds a group of *every* prompt, which matters to objectives that mix prompts (whitening, token
        means). By default a batch is one group, and the law is the average over prompts.
    max_terms : int
        Enumerate up to so many groups; beyond, draw ``samples`` of them with ``rng``. At 0 always draw.
    samples : int
    rng : numpy.random.Generator, optional
    covariance : bool
        Compute the covariance's trace, where all groups are enumerated.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit; a problem that does not list every answer; more groups than ``max_terms`` without
        ``rng``; a callable that depends on the order of answers, or not on ``log_prob``.
    """
    validate.instance_of("problem", problem, Problem)
    G = validate.positive_integer("group_size", group_size)
    max_terms = validate.positive_integer("max_terms", max_terms, 0)
    samples = validate.positive_integer("samples", samples, BATCHES)
    if rng is not None:
        validate.instance_of("rng", rng, np.random.Generator)
    objective = adapt(objective)
    theta = problem.check(theta)
    old = theta if theta_old is None else problem.check(theta_old, "theta_old")
    ref = old if theta_ref is None else problem.check(theta_ref, "theta_ref")
    tables = Tables.of(objective, problem, theta, old, ref)
    P = len(problem.rewards)
    sets = [list(range(P))] if validate.flag("together", together) else [[p] for p in range(P)]
    sums = [Sum(objective, tables, prompts, G, max_terms, samples, rng) for prompts in sets]
    total, mass = _total(sums, problem, theta, slice(None))
    if mass == 0:
        raise ValueError("no group has unequal rewards, so dynamic sampling would draw for ever")
    update = total / mass
    exact = all(one.exact for one in sums)
    trace, error = None, 0.0
    if not exact:
        parts = [_total(sums, problem, theta, slice(b, None, BATCHES)) for b in range(BATCHES)]
        residuals = torch.stack([part - update * kept for part, kept in parts])  # of a ratio of two means
        error = float((residuals.var(0).sum() / BATCHES).sqrt()) / mass
    elif covariance and problem.mask.numel() * problem.dim <= MAX_SCORES:
        scores = torch.func.jacrev(problem.tokens, chunk_size=4096)(theta)
        second = sum(one.second_moment(scores) for one in sums) / len(sums) / mass
        trace = max(second - float(update @ update), 0.0)
    J = float(problem.value(theta))
    return Law(update, problem.gradient(theta), J, trace, exact, error, sum(map(len, sums)))


def _total(sums: list[Sum], problem: Problem, theta: torch.Tensor, rows: slice) -> tuple[torch.Tensor, float]:
    """Mean update [dim] over the sums' batches, counting zero for those not kept, and the share that is kept."""
    weights = torch.zeros(problem.mask.shape, dtype=torch.float64)  # of each token's score
    mass = 0.0
    for one in sums:
        mine, chances = one.part(rows)
        one.spread(weights, mine, chances)
        mass += float(chances.sum())
    leaf = theta.clone().requires_grad_()
    with torch.enable_grad():
        (total,) = torch.autograd.grad((weights * problem.tokens(leaf)).sum(), leaf)
    return total / len(sums), mass / len(sums)
