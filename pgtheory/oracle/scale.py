r"""Effective scale of an on-policy objective for right-or-wrong answers, for many difficulties at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.special import gammaln, xlog1py, xlogy

from pgtheory.mdp import validate
from pgtheory.objectives.groups import Groups
from pgtheory.objectives.stages import Recipe
from pgtheory.oracle.objective import Objective, adapt, gradient_by_tokens, sees_only_ratios


def effective_scale(objective: Objective, group_size: int, p: Any, *, resampled: bool = False) -> np.ndarray:
    r"""The factor :math:`\eta(p)` such that the expected update is :math:`\eta(p)\nabla p`, for every p [n].

    With S right answers among G, right ones are independent draws of :math:`\pi(\cdot|\text{right})` and so are
    wrong ones, with mean scores :math:`\nabla p/p` and :math:`-\nabla p/(1-p)`. So with coefficients
    :math:`c_\pm(S)` of the two,

    .. math:: \eta(p)=\mathbb E_{S\sim\mathrm{Bin}(G,p)}\Big[\frac{Sc_+(S)}p-\frac{(G-S)c_-(S)}{1-p}\Big].

    The coefficients are those of one-token answers at ratio 1, found by differentiating the objective G + 1 times:
    once for a recipe of this library's parts, where p enters only through the binomial, for every p otherwise.

    Parameters
    ----------
    objective : Recipe or callable
        As in ``law``; the order of a group's answers must not matter to it.
    group_size : int
    p : array [n]
        Chances of a right answer, strictly between 0 and 1.
    resampled : bool
        Condition on groups with both kinds (dynamic sampling); so do recipes with ``mixed_only``.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit, and a group of one that is to hold both kinds.
    """
    G = validate.positive_integer("group_size", group_size)
    chances = validate.real_array("p", np.atleast_1d(p), (None,), "[n]")
    if not ((chances > 0) & (chances < 1)).all():
        raise ValueError("p must lie strictly between 0 and 1")
    objective = adapt(objective)
    mixed = validate.flag("resampled", resampled) or (isinstance(objective, Recipe) and objective.mixed_only)
    if mixed and G == 1:
        raise ValueError("group_size must be at least 2 for groups with both kinds of answers, got 1")
    if sees_only_ratios(objective):
        right, wrong = _coefficients(objective, G, 0.5)
    else:
        right, wrong = np.stack([_coefficients(objective, G, chance) for chance in chances], 1)
    S = np.arange(G + 1)
    logs = gammaln(G + 1) - gammaln(S + 1) - gammaln(G - S + 1)
    q = np.exp(logs + xlogy(S, chances[:, None]) + xlog1py(G - S, -chances[:, None]))  # [n, G + 1]
    if mixed:
        q[:, [0, -1]] = 0.0
        q = q / q.sum(1, keepdims=True)
    return (q * S * right).sum(1) / chances - (q * (G - S) * wrong).sum(1) / (1 - chances)


def _coefficients(objective: Objective, G: int, p: float) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [G + 1] of a right and of a wrong answer's score, for S = 0..G right ones."""
    right = torch.arange(G) < torch.arange(G + 1)[:, None]
    rewards = right.double()[:, None]  # [G + 1, 1, G]
    tokens = torch.where(rewards > 0, np.log(p), np.log1p(-p)).double()[..., None]
    found = -gradient_by_tokens(objective, Groups(tokens, tokens, rewards, torch.ones_like(tokens), tokens))
    each = found[:, 0, :, 0].numpy()
    return np.append(0.0, each[1:, 0]), np.append(each[:-1, -1], 0.0)
