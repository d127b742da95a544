"""Where expected updates lead, and what several epochs on one group do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pgtheory.mdp import validate
from pgtheory.objectives.groups import Groups
from pgtheory.objectives.stages import Recipe
from pgtheory.oracle.classes import all_groups, count_groups, members, multinomial
from pgtheory.oracle.expectation import law
from pgtheory.oracle.objective import Objective
from pgtheory.oracle.problem import Problem


@dataclass(frozen=True, eq=False)
class Flow:
    """A path of expected updates.

    Attributes
    ----------
    theta : tensor [iterations + 1, dim]
    J : array [iterations + 1]
    speed : array [iterations]
        Norm of each expected update: where it vanishes, the path has come to a fixed point.
    """

    theta: torch.Tensor
    J: np.ndarray
    speed: np.ndarray


def flow(
    objective: Objective,
    problem: Problem,
    theta: Any,
    group_size: int,
    *,
    rate: float,
    iterations: int,
    **options: Any,
) -> Flow:
    """Follow expected on-policy updates with a constant step.

    Parameters
    ----------
    objective, problem, theta, group_size
        As in ``law``; the path starts at ``theta`` [dim].
    rate : float
        Step per expected update.
    iterations : int
    **options
        Of ``law``.
    """
    rate = validate.positive("rate", rate)
    path = [problem.check(theta)]
    J, speed = [], []
    for _ in range(validate.positive_integer("iterations", iterations)):
        here = law(objective, problem, path[-1], group_size, covariance=False, **options)
        J.append(here.J)
        speed.append(float(here.update.norm()))
        path.append(path[-1] + rate * here.update)
    J.append(float(problem.value(path[-1])))
    return Flow(torch.stack(path), np.array(J), np.array(speed))


@dataclass(frozen=True, eq=False)
class InnerEpochs:
    r"""What epochs of gradient steps on one group lead to, for every group.

    Attributes
    ----------
    probability : array [N]
        Of each group.
    theta : tensor [N, dim]
        Where the steps end.
    J : array [N]
        There.
    J_before : float
    largest_ratio : array [N]
        Largest :math:`|\rho-1|` over the group's tokens at the end.
    """

    probability: np.ndarray
    theta: torch.Tensor
    J: np.ndarray
    J_before: float
    largest_ratio: np.ndarray

    @property
    def expected_J(self) -> float:
        """Mean return after the epochs."""
        return float(self.probability @ self.J)

    @property
    def chance_of_falling(self) -> float:
        """Probability that the return is lower than before."""
        return float(self.probability @ np.less(self.J, self.J_before - 1e-12))


def inner_epochs(
    recipe: Recipe,
    problem: Problem,
    theta: Any,
    group_size: int,
    *,
    rate: float,
    epochs: int,
    theta_old: Any = None,
    max_groups: int = 20_000,
) -> InnerEpochs:
    """Plain gradient steps on the loss of one group, with its sampling probabilities and credit kept.

    A deterministic map for each group; all groups of answers to the (single) prompt are enumerated. The reference of
    a KL penalty is the sampling policy. A recipe with ``mixed_only`` draws again what it drops.

    Parameters
    ----------
    recipe : Recipe
    problem : Problem
        With one prompt.
    theta : array [dim]
        Where the steps start.
    group_size : int
    rate : float
    epochs : int
    theta_old : array [dim], optional
        Of the policy that samples; ``theta`` by default.
    max_groups : int

    Raises
    ------
    ValueError
        If the problem has more than one prompt, there are more than ``max_groups`` groups, or none is kept.
    """
    validate.instance_of("recipe", recipe, Recipe)
    G, rate = validate.positive_integer("group_size", group_size), validate.positive("rate", rate)
    epochs = validate.positive_integer("epochs", epochs)
    P, M = problem.rewards.shape
    if P != 1 or count_groups(G, M) > max_groups:
        raise ValueError(
            f"problem must have one prompt and at most {max_groups} groups of {G}, got {P} and {count_groups(G, M)}"
        )
    theta = problem.check(theta)
    sampler = theta if theta_old is None else problem.check(theta_old, "theta_old")
    before = problem.tokens(sampler).detach()
    counts = all_groups(G, M)
    probability, drawn = multinomial(counts, before[0].sum(-1).exp().numpy()), members(counts)
    if recipe.mixed_only:
        rewards = problem.rewards[0].numpy()[drawn]
        probability = probability * (rewards.max(-1) > rewards.min(-1))
        if probability.sum() == 0:
            raise ValueError("no group has unequal rewards, so dynamic sampling would draw for ever")
        probability = probability / probability.sum()
    who = torch.as_tensor(drawn)[:, None]  # [N, 1, G]
    mask = problem.mask.double()

    def loss(theta: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        now = problem.tokens(theta)[0][answers]
        old = before[0][answers]
        return recipe.group_loss(Groups(now, old, problem.rewards[0][answers], mask[0][answers], old, old))

    step = torch.func.vmap(torch.func.grad(loss))
    after = theta.expand(len(counts), -1)
    for _ in range(epochs):
        after = after - rate * step(after, who)
    values = torch.func.vmap(problem.value)(after)
    tokens = torch.func.vmap(problem.tokens)(after)[:, 0]  # [N, M, T]
    ratios = (tokens - before[0]).exp().sub(1).abs() * mask[0]
    seen = torch.as_tensor(counts > 0)[..., None] * ratios
    return InnerEpochs(
        probability, after, values.numpy(), float(problem.value(theta)), seen.amax((1, 2)).numpy()
    )
