r"""Credit for outcomes: one reward for each of a group's G answers to a prompt, to advantages.

Every credit here is called with rewards and lengths [..., P, G] (P prompts; the lengths in tokens matter to those that
whiten over tokens) and returns an ``OutcomeCredit`` of the same shape. The conventions of the libraries differ in what they
divide by; each field below says which. A group of one answer has mean 0 and standard deviation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import NamedTuple

import torch

from pgtheory.mdp import validate

BISECTIONS = 100


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
        _spread(self.ddof, self.epsilon)

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
        _spread(self.ddof, self.epsilon)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        n = rewards.shape[-1] * rewards.shape[-2]
        centred = rewards - rewards.mean((-2, -1), keepdim=True)
        variance = (centred**2).sum((-2, -1), keepdim=True) / max(n - self.ddof, 1)
        return OutcomeCredit((rewards - group_mean(rewards)) / (variance.sqrt() + self.epsilon))


@dataclass(frozen=True)
class TokenWhitened:
    r"""Every token gets its answer's reward; then all tokens of the batch are standardised together.

    REINFORCE++ (arXiv:2501.03262), and with ``group_baseline`` its baseline form, which subtracts the group's mean first.
    Long answers weigh more in mean and variance, which counts tokens (sample variance, :math:`+\epsilon` under the root).
    """

    group_baseline: bool = False
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        validate.flag("group_baseline", self.group_baseline)
        validate.positive("epsilon", self.epsilon)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G] of answers of these lengths [..., P, G]."""
        values = rewards - group_mean(rewards) if self.group_baseline else rewards
        tokens = lengths.sum((-2, -1), keepdim=True)
        centred = values - (lengths * values).sum((-2, -1), keepdim=True) / tokens
        variance = (lengths * centred**2).sum((-2, -1), keepdim=True) / (tokens - 1).clamp(min=1)
        return OutcomeCredit(centred / (variance + self.epsilon).sqrt())


@dataclass(frozen=True)
class GroupMedian:
    r"""Both advantages of GBPO's official code: :math:`A` over the mean, :math:`\tilde A` over the median, in units of std.

    The median of an even group averages the middle two. With binary rewards it is an atom, and the targets of the
    majority are exactly 1: they do not average to 1 (see ``GroupTarget`` for targets that do).

    Parameters
    ----------
    ddof, epsilon
        As in ``GroupZScore``.
    leave_one_out : bool
        Take the median of the *other* answers.
    """

    ddof: int = 1
    epsilon: float = 1e-6
    leave_one_out: bool = False

    def __post_init__(self) -> None:
        _spread(self.ddof, self.epsilon)
        validate.flag("leave_one_out", self.leave_one_out)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        std = group_std(rewards, self.ddof, self.epsilon)
        G = rewards.shape[-1]
        if G == 1:
            return OutcomeCredit(rewards / std, rewards / std)
        if self.leave_one_out:
            others = torch.stack([torch.cat([rewards[..., :i], rewards[..., i + 1 :]], -1) for i in range(G)], -2)
            median = middle(others)
        else:
            median = middle(rewards)[..., None]
        return OutcomeCredit((rewards - group_mean(rewards)) / std, (rewards - median) / std)


@dataclass(frozen=True)
class GroupTarget:
    r"""GBPO with the targets of its theorem: :math:`\rho^*` of the empirical group, which average to 1.

    .. math::
       \rho^*_i=1-\epsilon_l+(\epsilon_l+\epsilon_h)\,\sigma\Big(\frac{r_i-m}{\mathrm{std}\,\lambda}+\log\frac{\epsilon_l}{\epsilon_h}\Big),
       \qquad\frac1G\sum_i\rho^*_i=1,

    *m* found by bisection in float64 (arXiv:2604.18578, Thm 4.1 on the group; derived here). Weights are
    :math:`|A_i|` as in ``GroupMedian``.

    Parameters
    ----------
    low, high, temperature : float
        :math:`\epsilon_l,\epsilon_h,\lambda>0`.
    ddof, epsilon
        As in ``GroupZScore``.
    """

    low: float = 0.2
    high: float | None = None
    temperature: float = 1e-4
    ddof: int = 1
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        _spread(self.ddof, self.epsilon)
        if not 0 < validate.finite("low", self.low) < 1:
            raise ValueError(f"low must lie in (0, 1), got {self.low}")
        object.__setattr__(
            self, "high", self.low if self.high is None else validate.positive("high", self.high)
        )
        validate.positive("temperature", self.temperature)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        assert self.high is not None
        std = group_std(rewards, self.ddof, self.epsilon)
        if rewards.shape[-1] == 1:
            return OutcomeCredit(rewards / std, target=torch.ones_like(rewards))
        r, scale = rewards.double(), (std * self.temperature).double()
        shift = log(self.low / self.high)

        def targets(m: torch.Tensor) -> torch.Tensor:
            return 1 - self.low + (self.low + self.high) * torch.sigmoid((r - m) / scale + shift)  # type: ignore[operator]

        floor, ceiling = r.amin(-1, keepdim=True), r.amax(-1, keepdim=True)
        for _ in range(BISECTIONS):
            m = (floor + ceiling) / 2
            above = targets(m).mean(-1, keepdim=True) > 1
            floor, ceiling = torch.where(above, m, floor), torch.where(above, ceiling, m)
        advantage = (rewards - group_mean(rewards)) / std
        return OutcomeCredit(advantage, target=targets((floor + ceiling) / 2).to(rewards.dtype))


@dataclass(frozen=True)
class Labels:
    """:math:`A_i=1` for a positive reward and -1 otherwise: the labels of objectives that classify (REAL)."""

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        return OutcomeCredit(torch.where(rewards > 0, 1.0, -1.0).to(rewards.dtype))


def group_mean(rewards: torch.Tensor) -> torch.Tensor:
    """Mean over each group [..., P, 1]; 0 for groups of one."""
    mean = rewards.mean(-1, keepdim=True)
    return torch.zeros_like(mean) if rewards.shape[-1] == 1 else mean


def group_std(rewards: torch.Tensor, ddof: int, epsilon: float) -> torch.Tensor:
    """Standard deviation of each group plus epsilon [..., P, 1]; 1 for groups of one."""
    G = rewards.shape[-1]
    if G == 1:
        return torch.ones_like(rewards)
    centred = rewards - rewards.mean(-1, keepdim=True)
    return ((centred**2).sum(-1, keepdim=True) / (G - ddof)).sqrt() + epsilon


def middle(values: torch.Tensor) -> torch.Tensor:
    """Median over the last axis, the mean of the middle two for an even number."""
    ordered, n = values.sort(-1).values, values.shape[-1]
    return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2


def _spread(ddof: int, epsilon: float) -> None:
    if ddof not in (0, 1) or isinstance(ddof, bool):
        raise ValueError(f"ddof must be 0 (population) or 1 (sample), got {ddof!r}")
    validate.positive("epsilon", epsilon)
