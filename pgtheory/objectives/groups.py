"""Answers to prompts, in groups, with their tokens' probabilities: what recipes for language models start from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

_REQUIRED = ("log_prob", "log_prob_old", "rewards", "mask")


@dataclass(frozen=True, eq=False)
class Groups:
    r"""P prompts with G sampled answers of at most T tokens each.

    Log-probabilities and rewards in half precision are lifted to float32: bfloat16 has nothing between 1 and 1.0078,
    which is wider than the clip of a sequence's ratio. Gradients go back in the caller's precision.

    Parameters
    ----------
    log_prob : tensor [..., P, G, T]
        Of the tokens, under the policy that learns.
    log_prob_old : tensor [..., P, G, T]
        Under the policy that sampled them.
    rewards : tensor [..., P, G]
        One for each answer.
    mask : tensor [..., P, G, T]
        1 (or True) for the answer's tokens, its end included; 0 for padding. An answer all masked is not learned
        from, but its reward still counts in its group.
    log_prob_ref, log_prob_prox : tensor [..., P, G, T], optional
        Under a reference policy, and under a proximal one.

    Raises
    ------
    TypeError
        If a field is no tensor, or log-probabilities hold no floating-point numbers.
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
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.name in _REQUIRED:
                object.__setattr__(self, field.name, self._lifted(field.name, value))
        shape = self.log_prob.shape
        if len(shape) < 3:
            raise ValueError(f"log_prob must have shape [..., P, G, T], got {list(shape)}")
        for name in ("log_prob_old", "mask", "log_prob_ref", "log_prob_prox"):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(
                    f"{name} must have the shape of log_prob, {list(shape)}, got {list(value.shape)}"
                )
        if self.rewards.shape != shape[:-1]:
            raise ValueError(
                f"rewards must have shape [..., P, G] = {list(shape[:-1])}, got {list(self.rewards.shape)}"
            )

    def _lifted(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """A field in at least float32; numbers of answers and tokens in the precision of ``log_prob``."""
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(value).__name__}")
        if value.is_floating_point():
            return value.float() if value.dtype.itemsize < 4 else value
        if name.startswith("log_prob"):
            raise TypeError(f"{name} must hold floating-point numbers, got {value.dtype}")
        return value.to(self.log_prob.dtype)

    @property
    def lengths(self) -> torch.Tensor:
        """Tokens of each answer [..., P, G]."""
        return self.mask.sum(-1)
