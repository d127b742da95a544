"""How far an update went: ratios, entropy, distance to the reference, share of decisions that a clip holds back."""

from __future__ import annotations

import numpy as np
import torch

from pgtheory.objectives import Clip, Decisions, Decoupled, Recipe, SequenceClip

QUANTILES = (0.5, 0.9, 0.99)
CLIPPING = (Clip, SequenceClip, Decoupled)


def measure(
    objective: Recipe, decisions: Decisions, entropy: torch.Tensor, mask: torch.Tensor
) -> dict[str, float]:
    r"""Metrics of a batch under the policy after the update.

    ``ratio/q99`` and its like are quantiles of :math:`|\rho-1|` over all tokens, ``ratio/kl`` estimates
    KL(old ‖ new) and ``policy/kl_reference`` KL(new ‖ reference), both by :math:`k_3`.

    Parameters
    ----------
    decisions : Decisions, [P, G, T]
        With ``log_prob`` of the policy after the update.
    entropy, mask : tensor [P, G, T]
    """
    there = mask > 0
    log_ratio = (decisions.log_prob - decisions.log_prob_old).detach()[there].double()
    away = torch.expm1(log_ratio).abs().cpu().numpy()
    row = {f"ratio/q{100 * q:.0f}": float(value) for q, value in zip(QUANTILES, np.quantile(away, QUANTILES))}
    row["ratio/max"] = float(away.max())
    row["ratio/kl"] = float((torch.expm1(log_ratio) - log_ratio).mean())
    row["policy/entropy"] = float(entropy[there].mean())
    if decisions.log_prob_ref is not None:
        x = (decisions.log_prob_ref - decisions.log_prob.detach())[there].double()
        row["policy/kl_reference"] = float((torch.expm1(x) - x).mean())
    if isinstance(objective.surrogate, CLIPPING):
        row["policy/clip_share"] = clip_share(objective, decisions)
    return row


def clip_share(objective: Recipe, decisions: Decisions) -> float:
    """Share of the decisions with an advantage whose surrogate has no slope: those a clip holds back."""
    log_prob = decisions.log_prob.detach().requires_grad_()
    with torch.enable_grad():
        losses = objective.surrogate(decisions.replace(log_prob=log_prob))
        (slope,) = torch.autograd.grad(losses.sum(), log_prob)
    counted = (decisions.weights > 0) & (decisions.advantage != 0)
    return float(((slope == 0) & counted).sum() / counted.sum().clamp(min=1))
