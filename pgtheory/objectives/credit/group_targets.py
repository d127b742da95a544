r"""Credit for outcomes that also says how far each answer's ratio should go: both forms of GBPO (arXiv:2604.18578)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch

from pgtheory.mdp import validate
from pgtheory.objectives.credit.outcome import OutcomeCredit, check_spread, group_mean, group_std

BISECTIONS = 100


@dataclass(frozen=True)
class GroupMedian:
    r"""Both advantages of GBPO's official code: over the mean and, :math:`\tilde A`, over the median, in units of std.

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
        check_spread(self.ddof, self.epsilon)
        validate.flag("leave_one_out", self.leave_one_out)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        std = group_std(rewards, self.ddof, self.epsilon)
        G = rewards.shape[-1]
        if G == 1:
            return OutcomeCredit(rewards / std, rewards / std)
        if self.leave_one_out:
            others = [torch.cat([rewards[..., :i], rewards[..., i + 1 :]], -1) for i in range(G)]
            median = middle(torch.stack(others, -2))
        else:
            median = middle(rewards)[..., None]
        return OutcomeCredit((rewards - group_mean(rewards)) / std, (rewards - median) / std)


@dataclass(frozen=True)
class GroupTarget:
    r"""GBPO with the targets of its theorem: :math:`\rho^*` of the empirical group, which average to 1.

    .. math::
       \rho^*_i=1-\epsilon_l+(\epsilon_l+\epsilon_h)\,
       \sigma\Big(\frac{r_i-m}{\mathrm{std}\,\lambda}+\log\frac{\epsilon_l}{\epsilon_h}\Big),
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
        check_spread(self.ddof, self.epsilon)
        if not 0 < validate.finite("low", self.low) < 1:
            raise ValueError(f"low must lie in (0, 1), got {self.low}")
        object.__setattr__(
            self, "high", self.low if self.high is None else validate.positive("high", self.high)
        )
        validate.positive("temperature", self.temperature)

    def __call__(self, rewards: torch.Tensor, lengths: torch.Tensor) -> OutcomeCredit:
        """Credit of rewards [..., P, G]."""
        low, high = self.low, self.high
        assert high is not None
        std = group_std(rewards, self.ddof, self.epsilon)
        if rewards.shape[-1] == 1:
            return OutcomeCredit(rewards / std, target=torch.ones_like(rewards))
        r, scale = rewards.double(), (std * self.temperature).double()
        shift = log(low / high)

        def targets(m: torch.Tensor) -> torch.Tensor:
            return 1 - low + (low + high) * torch.sigmoid((r - m) / scale + shift)

        floor, ceiling = r.amin(-1, keepdim=True), r.amax(-1, keepdim=True)
        for _ in range(BISECTIONS):
            m = (floor + ceiling) / 2
            above = targets(m).mean(-1, keepdim=True) > 1
            floor, ceiling = torch.where(above, m, floor), torch.where(above, ceiling, m)
        advantage = (rewards - group_mean(rewards)) / std
        return OutcomeCredit(advantage, target=targets((floor + ceiling) / 2).to(rewards.dtype))


def middle(values: torch.Tensor) -> torch.Tensor:
    """Median over the last axis, the mean of the middle two for an even number."""
    ordered, n = values.sort(-1).values, values.shape[-1]
    return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2
