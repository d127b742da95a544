"""The one batch that every objective reads: decisions, how likely they were and are, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

_REQUIRED = ("log_prob", "log_prob_old", "advantage")
_OPTIONAL = ("median_advantage", "target", "weight", "log_prob_ref", "log_prob_prox")


@dataclass(frozen=True, eq=False)
class Decisions:
    r"""Decisions (s, a), taken or enumerated, with everything that a surrogate may ask of them.

    A rollout buffer fills it with what was sampled, [n] or [steps, environments]; a language model with tokens,
    [..., sequences, tokens], and the completion mask as weights; a finite MDP with *all* pairs, [..., S, A], and
    the weights :math:`d_{\pi_0}(s)\,\pi_0(a|s)`, which makes every loss its exact expectation.

    Only ``log_prob`` carries a gradient: everything else is detached here, once, whatever the caller kept.

    Parameters
    ----------
    log_prob : tensor [...]
        :math:`\log\pi_\theta(a|s)` of the policy that learns.
    log_prob_old : tensor [...]
        :math:`\log\pi_0(a|s)` of the policy that ratios are taken to, from the same code path and in the same dtype:
        then the ratio is exactly 1 before the first step.
    advantage : tensor [...]
        :math:`A`, the advantage over the *mean*.
    median_advantage : tensor [...], optional
        :math:`\tilde A=Q-\mu`, the advantage over the (soft) median; ``advantage`` in its place by default.
    target : tensor [...], optional
        Target ratios :math:`\rho^*` computed elsewhere; surrogates that need one derive it from
        ``median_advantage`` by default.
    weight : tensor [...], optional
        A mask is a weight, and none is negative: 0 keeps a decision, and whatever it holds, out of every loss.
        Ones by default.
    log_prob_ref, log_prob_prox : tensor [...], optional
        Under a reference policy, for a KL penalty, and under a proximal one, for decoupled surrogates.

    Raises
    ------
    TypeError
        If a field is not a floating-point tensor (weights may be boolean or integer).
    ValueError
        If the shapes differ.
    """

    log_prob: torch.Tensor
    log_prob_old: torch.Tensor
    advantage: torch.Tensor
    median_advantage: torch.Tensor | None = None
    target: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    log_prob_ref: torch.Tensor | None = None
    log_prob_prox: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for name in (*_REQUIRED, *_OPTIONAL):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not isinstance(value, torch.Tensor):
                raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
            if not value.is_floating_point():
                if name != "weight":
                    raise TypeError(f"{name} must hold floating-point numbers, got {value.dtype}")
                value = value.to(self.log_prob.dtype)
            if value.shape != self.log_prob.shape:
                raise ValueError(
                    f"{name} must have the shape of log_prob, {list(self.log_prob.shape)}, got {list(value.shape)}"
                )
            if name != "log_prob":
                object.__setattr__(self, name, value.detach())

    @property
    def log_ratio(self) -> torch.Tensor:
        r""":math:`\log\pi_\theta(a|s)-\log\pi_0(a|s)`; 0 where the weight is."""
        return self.masked(self.log_prob - self.log_prob_old)

    @property
    def ratio(self) -> torch.Tensor:
        r""":math:`\rho=\pi_\theta(a|s)/\pi_0(a|s)`; 1 where the weight is 0."""
        return self.log_ratio.exp()

    @property
    def centred(self) -> torch.Tensor:
        r""":math:`\tilde A`, or :math:`A` where no median advantage was given; 0 where the weight is."""
        return self.masked(self.advantage if self.median_advantage is None else self.median_advantage)

    @property
    def weights(self) -> torch.Tensor:
        """The weights, ones if none were given."""
        return torch.ones_like(self.advantage) if self.weight is None else self.weight

    def masked(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Values [...] with ``fill`` where the weight is 0, so that no NaN comes out of padding."""
        if self.weight is None:
            return values
        return torch.where(self.weight > 0, values, torch.full_like(values, fill))

    def replace(self, **fields: Any) -> Decisions:
        """The same decisions with other fields."""
        return replace(self, **fields)
