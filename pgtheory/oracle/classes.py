"""Answers that an objective cannot tell apart, and every way in which a group can be made of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import torch
from scipy.special import gammaln

DECIMALS = 11
"""Log-probabilities that agree to so many are the same: what differs beyond is rounding."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The answers of one prompt, sorted into K classes.

    Attributes
    ----------
    of : integer tensor [M]
        Class of each answer; 0 for answers of classes without probability, whose share is 0.
    representative : integer tensor [K]
        An answer of each class.
    probability : array [K]
        Of drawing an answer of the class.
    share : tensor [M]
        Probability of each answer within its class.
    """

    of: torch.Tensor
    representative: torch.Tensor
    probability: np.ndarray
    share: torch.Tensor

    def __len__(self) -> int:
        return len(self.representative)


def classify(exact: torch.Tensor, measured: torch.Tensor, probabilities: torch.Tensor) -> Classes:
    """Sort M answers by rows of features: ``exact`` [M, e] must be equal, ``measured`` [M, f] to ``DECIMALS``."""
    keys = torch.cat([exact, torch.round(measured, decimals=DECIMALS)], -1)
    _, of = torch.unique(keys, dim=0, return_inverse=True)
    M, K = len(of), int(of.max()) + 1
    first = torch.full((K,), M, dtype=torch.int64).scatter_reduce(0, of, torch.arange(M), "amin")
    mass = torch.zeros(K, dtype=torch.float64).index_add(0, of, probabilities)
    kept = mass > 0
    if not kept.all():
        renumber = torch.cumsum(kept.long(), 0) - 1
        renumber[~kept] = 0
        of, first, mass = renumber[of], first[kept], mass[kept]
    return Classes(of, first, (mass / mass.sum()).numpy(), probabilities / mass[of])


def count_groups(G: int, K: int) -> int:
    """In how many ways G answers can fall into K classes."""
    return comb(G + K - 1, K - 1)


def all_groups(G: int, K: int) -> np.ndarray:
    """Members [N, K] of each class in every group of G, integers that sum to G."""
    if K == 1:
        return np.array([[G]])
    parts = []
    for first in range(G + 1):
        rest = all_groups(G - first, K - 1)
        parts.append(np.concatenate([np.full((len(rest), 1), first), rest], 1))
    return np.concatenate(parts)


def multinomial(groups: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Probability [N] of groups with these members [N, K]."""
    G = groups.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(groups > 0, groups * np.log(probability), 0.0).sum(1)
    return np.exp(gammaln(G + 1) - gammaln(groups + 1).sum(1) + logs)


def members(groups: np.ndarray) -> np.ndarray:
    """Class of each of the G answers [N, G], sorted, of groups [N, K]."""
    G = int(groups[0].sum())
    return np.repeat(np.tile(np.arange(groups.shape[1]), len(groups)), groups.ravel()).reshape(-1, G)
