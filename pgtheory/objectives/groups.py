"""Answers to prompts, in groups, with the probabilities of their tokens: what a recipe for language models starts from."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Groups:
    r"""P prompts with G sampled answers of at most T tokens each.

    Parameters
    ----------
    log_prob : tensor [..., P, G, T]
        Of the tokens, under the policy that learns.
    log_prob_old : tensor [..., P, G, T]
        Under the policy that sampled them.
    rewards : tensor [..., P, G]
        One for each answer.
    mask : tensor [..., P, G, T]
        1 (or True) for the answer's tokens, its end included; 0 for padding.
    log_prob_ref, log_prob_prox : tensor [..., P, G, T], optional
        Under a reference policy, and under a proximal one.

    Raises
    ------
    ValueError
        If shapes do not fit together.
    """

    log_prob: torch.Tensor
    log_prob_old: torch.Tensor
    rewards: torch.Tensor
    mask: torch.Tensor
    log_prob_ref: torch.Tensor | None = None
    log_prob_prox: torch.Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.log_prob.shape
        if len(shape) < 3:
            raise ValueError(f"log_prob must have shape [..., P, G, T], got {list(shape)}")
        for name in ("log_prob_old", "mask", "log_prob_ref", "log_prob_prox"):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"{name} must have the shape of log_prob, {list(shape)}, got {list(value.shape)}")
        if self.rewards.shape != shape[:-1]:
            raise ValueError(f"rewards must have shape [..., P, G] = {list(shape[:-1])}, got {list(self.rewards.shape)}")
        if not self.rewards.is_floating_point():
            object.__setattr__(self, "rewards", self.rewards.to(self.log_prob.dtype))
        if not self.mask.is_floating_point():
            object.__setattr__(self, "mask", self.mask.to(self.log_prob.dtype))

    @property
    def lengths(self) -> torch.Tensor:
        """Tokens of each answer [..., P, G]."""
        return self.mask.sum(-1)
