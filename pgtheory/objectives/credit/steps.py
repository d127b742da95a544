"""What happened, step by step, and what a critic said about it: the input of every credit for control."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch


@dataclass(frozen=True, eq=False)
class Steps:
    r"""Consecutive steps of environments, in time order along the first axis.

    Parameters
    ----------
    rewards : tensor [T, ...]
    values : tensor [T, ...]
        :math:`V(s_t)`.
    next_values : tensor [T, ...]
        :math:`V(s_{t+1})` of the state that the step led to, *also at the end of an episode*: where a time limit cut
        it, the value of the state it was cut in, and never that of the next episode's first state.
    terminated : bool tensor [T, ...]
        The episode came to its end: nothing follows, the next value counts as zero.
    truncated : bool tensor [T, ...]
        The episode was cut: the next value stands for what would have followed. The last step of a rollout is
        treated in the same way without being marked.

    Raises
    ------
    TypeError
        If a field is no tensor, the last two are not boolean, or the others hold no floating-point numbers.
    ValueError
        If the shapes differ or there is no step.
    """

    rewards: torch.Tensor
    values: torch.Tensor
    next_values: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, torch.Tensor):
                raise TypeError(f"{field.name} must be a tensor, got {type(value).__name__}")
            if field.name in ("terminated", "truncated"):
                if value.dtype != torch.bool:
                    raise TypeError(
                        f"{field.name} must be boolean, got {value.dtype}: pass {field.name}.bool()"
                    )
            elif not value.is_floating_point():
                raise TypeError(f"{field.name} must hold floating-point numbers, got {value.dtype}")
            if value.shape != self.rewards.shape or self.rewards.shape[:1] in ((), (0,)):
                raise ValueError(
                    f"{field.name} must have the shape of rewards, [T, ...] with T >= 1: "
                    f"got {list(value.shape)} and {list(self.rewards.shape)}"
                )

    def successors(self) -> torch.Tensor:
        """Value of what follows each step [T, ...]: zero after a termination."""
        return torch.where(self.terminated, torch.zeros_like(self.next_values), self.next_values)

    def continues(self) -> torch.Tensor:
        """1 where the next step belongs to the same episode, 0 where not [T, ...]."""
        return (~(self.terminated | self.truncated)).to(self.rewards.dtype)


class Credit(NamedTuple):
    """Advantages, and the targets that a critic should learn, both [T, ...]."""

    advantage: torch.Tensor
    target: torch.Tensor
