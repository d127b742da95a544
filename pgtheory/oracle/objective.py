"""Any objective as a function of ``Groups``, and its derivative by every token's log-probability."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from pgtheory.objectives.groups import Groups
from pgtheory.objectives.stages import Recipe

Objective = Recipe | Callable[..., torch.Tensor]

ARGUMENTS = ("log_prob", "log_prob_old", "rewards", "mask", "log_prob_ref", "log_prob_prox")
"""What a function of tensors may ask for, by name."""


def adapt(objective: Objective) -> Recipe | Callable[[Groups], torch.Tensor]:
    """An objective as a recipe, or as a function of ``Groups`` that returns a scalar tensor.

    Raises
    ------
    TypeError
        If it is neither a recipe nor a function of ``Groups`` or of arguments in ``ARGUMENTS``.
    """
    if isinstance(objective, Recipe):
        return objective
    if not callable(objective):
        raise TypeError(f"objective must be a Recipe or a function, got {objective!r}")
    call = _caller(objective)

    def checked(groups: Groups) -> torch.Tensor:
        loss = call(groups)
        if not isinstance(loss, torch.Tensor) or loss.ndim != 0:
            got = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, torch.Tensor) else repr(loss)
            raise ValueError(f"objective must return a scalar tensor, got {got}")
        return loss

    return checked


def _caller(objective: Callable[..., torch.Tensor]) -> Callable[[Groups], torch.Tensor]:
    parameters: Mapping[str, inspect.Parameter]
    try:
        parameters = inspect.signature(objective).parameters
    except ValueError:  # compiled functions have none
        parameters = {}
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [n for n, p in parameters.items() if p.default is p.empty and p.kind not in variadic]
    wanted = [n for n in ARGUMENTS if n in parameters]
    expected = f"objective must take Groups, or arguments among {', '.join(ARGUMENTS)}"
    if not wanted:
        if len(required) != 1:
            raise TypeError(f"{expected}; it takes {', '.join(parameters) or 'none'}")
        return objective
    unknown = [n for n in required if n not in ARGUMENTS]
    if unknown:
        raise TypeError(f"{expected}; give defaults to {', '.join(unknown)}")
    if any(parameters[n].kind is inspect.Parameter.POSITIONAL_ONLY for n in wanted):
        raise TypeError(f"{expected}, by name; its arguments are positional only")
    return lambda groups: objective(**{n: getattr(groups, n) for n in wanted})


def sees_only_ratios(objective: Any) -> bool:
    """Whether log-probabilities enter the derivative through their differences alone.

    So it is for every part of this library's; of a part from elsewhere nothing is known.
    """
    if not isinstance(objective, Recipe):
        return False
    try:
        objective.to_dict()
    except TypeError:
        return False
    return True


def gradient_by_tokens(objective: Objective, groups: Groups) -> torch.Tensor:
    """Derivative of the loss of each of N batches by its tokens' log-probabilities [N, P, G, T].

    A recipe of this library's parts is differentiated for all batches at once; anything else one batch at a time, for
    nobody knows whether ``torch.func`` can trace it. The proximal policy is the one that sampled.

    Raises
    ------
    ValueError
        If no batch's loss depends on ``log_prob``.
    """
    reference = groups.log_prob_old if groups.log_prob_ref is None else groups.log_prob_ref
    rest = (groups.log_prob_old, groups.rewards, groups.mask, reference)
    loss = objective.group_loss if isinstance(objective, Recipe) else objective

    def one(
        now: torch.Tensor, old: torch.Tensor, rewards: torch.Tensor, mask: torch.Tensor, ref: torch.Tensor
    ) -> torch.Tensor:
        return loss(Groups(now, old, rewards, mask, log_prob_ref=ref, log_prob_prox=old))

    if sees_only_ratios(objective):
        return torch.func.vmap(torch.func.grad(one))(groups.log_prob, *rest)
    found, depends = [], False
    for now, *others in zip(groups.log_prob, *rest):
        leaf = now.clone().requires_grad_()
        with torch.enable_grad():
            value = one(leaf, *others)
        gradient = None
        if value.requires_grad:  # a group without credit may well return a constant
            (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
        depends |= gradient is not None
        found.append(torch.zeros_like(now) if gradient is None else gradient)
    if not depends:
        raise ValueError(
            "objective must depend on log_prob: no group's loss has a gradient with respect to it"
        )
    return torch.stack(found)


def refuse_order(objective: Objective, groups: Groups, found: torch.Tensor) -> None:
    """Refuse an objective that treats a group as a sequence: answers in another order must have the same derivatives.

    Raises
    ------
    ValueError
        If the derivatives ``found`` of these batches change when the answers are rotated or reversed.
    """
    G = groups.rewards.shape[-1]
    for order in (torch.arange(G).roll(1), torch.arange(G).flip(0)):
        moved = Groups(
            groups.log_prob[:, :, order],
            groups.log_prob_old[:, :, order],
            groups.rewards[:, :, order],
            groups.mask[:, :, order],
            None if groups.log_prob_ref is None else groups.log_prob_ref[:, :, order],
        )
        there = gradient_by_tokens(objective, moved)
        if not torch.allclose(there, found[:, :, order], rtol=1e-4, atol=1e-7, equal_nan=True):
            raise ValueError(
                "objective must not depend on the order of a group's answers, which are enumerated as sets: "
                "pass max_terms=0 and rng to sample ordered groups"
            )
