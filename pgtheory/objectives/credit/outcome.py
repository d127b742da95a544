r"""Credit for outcomes: one reward for each of a group's G answers to a prompt, to advantages.

Every credit here is called with rewards and lengths [..., P, G] (P prompts; the lengths in tokens matter to those
that whiten over tokens) and returns an ``OutcomeCredit`` of the same shape. The conventions of the libraries differ in
what they divide by; each field below says which. A group of one answer has mean 0 and standard deviation 1. A group of
equal rewards has advantages of exactly 0 in any precision wherever the group's mean is taken off (before whitening).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from pgtheory.mdp import validate


class OutcomeCredit(NamedTuple):
    """Advantages [..., P, G]; those over the median, and target ratios, from credits that have them."""

    advantage: torch.Tensor
    median_advantage: torch.Tensor | None = None
    target: torch.Tensor | None = None


@dataclass(frozen=True)
class NoBaseline:
    r""":math:`A_i=r_i`. REINFORCE."""

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        return OutcomeCredit(rewards)


@dataclass(frozen=True)
class GroupMean:
    r""":math:`A_i=r_i-\bar r`. Dr. GRPO (arXiv:2503.20783): :math:`\frac{G-1}G` times the unbiased one."""

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        return OutcomeCredit(rewards - group_mean(rewards))


@dataclass(frozen=True)
class LeaveOneOut:
    r""":math:`A_i=r_i-\frac1{G-1}\sum_{j\ne i}r_j`. RLOO (arXiv:2402.14740), unbiased."""

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        G = rewards.shape[-1]
        return OutcomeCredit((rewards - group_mean(rewards)) * (G / max(G - 1, 1)))


@dataclass(frozen=True)
class GroupZScore:
    r""":math:`A_i=(r_i-\bar r)/(\mathrm{std}+\epsilon)`. GRPO (arXiv:2402.03300).

    Parameters
    ----------
    ddof : {0, 1}
        Population or sample standard deviation. verl, TRL and OpenRLHF use the sample's; the paper does not say.
    epsilon : float
        1e-6 in verl, 1e-4 in TRL, 1e-9 in OpenRLHF.
    """

    ddof: int = 1
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_spread(self.ddof, self.epsilon)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        return OutcomeCredit((rewards - group_mean(rewards)) / group_std(rewards, self.ddof, self.epsilon))


@dataclass(frozen=True)
class BatchScale:
    r""":math:`A_i=(r_i-\bar r)/(\mathrm{std}_{batch}+\epsilon)`: the group's mean, the batch's spread.

    TRL's ``scale_rewards="batch"``.
    """

    ddof: int = 1
    epsilon: float = 1e-4

    def __post_init__(self) -> None:
        check_spread(self.ddof, self.epsilon)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        n = rewards.shape[-1] * rewards.shape[-2]
        centred = rewards - rewards.mean((-2, -1), keepdim=True)
        variance = (centred**2).sum((-2, -1), keepdim=True) / max(n - self.ddof, 1)
        return OutcomeCredit((rewards - group_mean(rewards)) / (variance.sqrt() + self.epsilon))


@dataclass(frozen=True)
class TokenWhitened:
    r"""Every token gets its answer's reward; then all tokens of the batch are standardised together.

    REINFORCE++ (arXiv:2501.03262), and with ``group_baseline`` its baseline form, which subtracts the group's mean
    first. Long answers weigh more in mean and variance, which counts tokens (sample variance, :math:`+\epsilon` under
    the root).
    """

    group_baseline: bool = False
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        validate.flag("group_baseline", self.group_baseline)
        validate.positive("epsilon", self.epsilon)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G] of answers of these lengths [..., P, G]."""
        values = rewards - group_mean(rewards) if self.group_baseline else rewards
        values = values - values[..., :1, :1]  # no rounding where all are equal
        tokens = lengths.sum((-2, -1), keepdim=True)
        centred = values - (lengths * values).sum((-2, -1), keepdim=True) / tokens.clamp(min=1)
        variance = (lengths * centred**2).sum((-2, -1), keepdim=True) / (tokens - 1).clamp(min=1)
        return OutcomeCredit(centred / (variance + self.epsilon).sqrt())


@dataclass(frozen=True)
class Labels:
    """:math:`A_i=1` for a positive reward and -1 otherwise: the labels of objectives that classify (REAL)."""

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        return OutcomeCredit(torch.where(rewards > 0, 1.0, -1.0).to(rewards.dtype))


def group_mean(rewards: torch.Tensor) -> torch.Tensor:
    """Mean over each group [..., P, 1], of equal rewards exactly theirs; 0 for groups of one."""
    first = rewards[..., :1]
    if rewards.shape[-1] == 1:
        return torch.zeros_like(first)
    return first + (rewards - first).mean(-1, keepdim=True)


def group_std(rewards: torch.Tensor, ddof: int, epsilon: float) -> torch.Tensor:
    """Standard deviation of each group plus epsilon [..., P, 1]; 1 for groups of one."""
    G = rewards.shape[-1]
    if G == 1:
        return torch.ones_like(rewards)
    centred = rewards - group_mean(rewards)
    return ((centred**2).sum(-1, keepdim=True) / (G - ddof)).sqrt() + epsilon


def check_spread(ddof: int, epsilon: float) -> None:
    """Refuse what no standard deviation is divided by."""
    if ddof not in (0, 1) or isinstance(ddof, bool):
        raise ValueError(f"ddof must be 0 (population) or 1 (sample), got {ddof!r}")
    validate.positive("epsilon", epsilon)
