r"""From losses per decision to one number. A mask is a weight, and so is a state's share of visits.

Losses and weights are [..., T], the last axis the tokens of one sequence where there are any. The same name means
different things in different libraries; these are named by what they compute:

==========================  ===================================================  ===================================
here                        formula                                              elsewhere
==========================  ===================================================  ===================================
``weighted_mean``           :math:`\sum_{it}l_{it}/\sum_i|o_i|`                  verl ``token-mean``, TRL ``bnpo``
                                                                                 (``dapo`` over the global batch),
                                                                                 OpenRLHF's default
``sequence_mean``           :math:`\frac1N\sum_i\frac1{|o_i|}\sum_tl_{it}`       verl ``seq-mean-token-mean``, TRL
                                                                                 ``grpo``
``sequence_sum``            :math:`\frac1N\sum_i\sum_tl_{it}`                    verl ``seq-mean-token-sum``, TRL's
                                                                                 RLOO
``SequenceSum(L)``          :math:`\frac1{NL}\sum_{it}l_{it}`                    TRL ``dr_grpo``, verl 0.9
                                                                                 ``seq-mean-token-sum-norm``
``SequenceSum(L, False)``   :math:`\frac1L\sum_{it}l_{it}`                       earlier verl's, as others describe
                                                                                 it
``weighted_sum``            :math:`\sum_{it}w_{it}l_{it}`                        the exact expectation on a finite
                                                                                 MDP
==========================  ===================================================  ===================================

Sequences without a single weight (dropped, or all padding) do not count in N.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pgtheory.mdp import validate


def weighted_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    r""":math:`\sum wl/\sum w` over all decisions: a minibatch's mean, or the mean over all unmasked tokens."""
    total = weights.sum()
    return (weights * losses).sum() / torch.where(total > 0, total, torch.ones_like(total))


def weighted_sum(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    r""":math:`\sum wl`; the exact expected loss, in units of return, under the weights of ``exact_decisions``."""
    return (weights * losses).sum()


def sequence_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean over sequences of each one's mean over its tokens."""
    lengths = weights.sum(-1)
    means = (weights * losses).sum(-1) / torch.where(lengths > 0, lengths, torch.ones_like(lengths))
    return means.sum() / _count(lengths)


def sequence_sum(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean over sequences of each one's sum over its tokens."""
    return (weights * losses).sum() / _count(weights.sum(-1))


@dataclass(frozen=True)
class SequenceSum:
    """Sums over each sequence's tokens, divided by a constant length, and averaged over sequences or not.

    Parameters
    ----------
    length : int
        The constant, usually the longest answer allowed.
    averaged : bool
        Divide by the number of sequences too.
    """

    length: int
    averaged: bool = True

    def __post_init__(self) -> None:
        validate.positive_integer("length", self.length)
        validate.flag("averaged", self.averaged)

    def __call__(self, losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Scalar of losses and weights [..., T]."""
        total = (weights * losses).sum() / self.length
        return total / _count(weights.sum(-1)) if self.averaged else total


def _count(lengths: torch.Tensor) -> torch.Tensor:
    return (lengths > 0).sum().clamp(min=1).to(lengths.dtype)
