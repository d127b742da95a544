r"""The two terms of the hybrid method: which data enter the critic's regression and the policy's fit, how heavily."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pgtheory.hybrid.lock import Episodes
from pgtheory.hybrid.offline import Transitions
from pgtheory.mdp import validate


class Regression(NamedTuple):
    r"""Weighted least squares :math:`\sum_iw_i(f(x_i,a_i)-y_i)^2` at one step: m pairs, their targets and weights."""

    observations: np.ndarray
    actions: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Terms:
    r"""Which data enter which term, shared by the linear and the network version.

    Without offline data both terms are on-policy only, which is TRPO.

    Parameters
    ----------
    online_weight : float
        :math:`\lambda` of the critic's loss, :math:`\hat E_{off}(f-r-f')^2+\lambda\hat E_{on}(f-y)^2`. With 0 the
        critic knows offline data only.
    policy_online_weight : float, optional
        :math:`\lambda` of the policy's fit; :math:`\lambda` of the critic unless given.
    bootstrap_online : bool
        Online targets :math:`r+f_{h+1}(s',a')` too, in place of returns: temporal differences on both data sets.
    offline_actions : {"resampled", "dataset"}
        Actions of the policy's fit at offline states: drawn from the current policy (the official code), or the data's
        (Algorithm 3).
    value_samples : int
        Actions whose mean is :math:`V=\mathbb E_{a\sim\pi}f`.
    radius : float
        Size of a natural step, :math:`\tfrac12w^\top Fw`, in nats.
    damping : float
        Added to the Fisher matrix.

    Raises
    ------
    ValueError, TypeError
        For numbers out of range.
    """

    online_weight: float = 1.0
    policy_online_weight: float | None = None
    bootstrap_online: bool = False
    offline_actions: str = "resampled"
    value_samples: int = 10
    radius: float = 0.01
    damping: float = 0.1

    def __post_init__(self) -> None:
        validate.non_negative("online_weight", self.online_weight)
        if self.policy_online_weight is not None:
            validate.non_negative("policy_online_weight", self.policy_online_weight)
        validate.flag("bootstrap_online", self.bootstrap_online)
        if self.offline_actions not in ("resampled", "dataset"):
            raise ValueError(
                f"offline_actions must be 'resampled' or 'dataset', got {self.offline_actions!r}"
            )
        validate.positive_integer("value_samples", self.value_samples)
        validate.positive("radius", self.radius)
        validate.non_negative("damping", self.damping)

    def regression(
        self,
        h: int,
        online: Episodes,
        offline: Transitions | None,
        ahead: Callable[[np.ndarray], np.ndarray] | None,
    ) -> Regression:
        r"""The critic's loss at step h, :math:`\hat E_{off}(f-r-f_{h+1})^2+\lambda\hat E_{on}(f-y)^2`.

        Parameters
        ----------
        ahead : callable, optional
            Next observations [m, size] → :math:`f_{h+1}(s',a')` [m] at one :math:`a'\sim\pi_{h+1}`, held constant; None
            at the last step, where it is 0.
        """

        def bootstrapped(rewards: np.ndarray, after: np.ndarray) -> np.ndarray:
            return rewards if ahead is None else rewards + ahead(after)

        parts = []
        if offline is not None:
            x, a, r, after = (column[h] for column in offline[:4])
            parts.append((x, a, bootstrapped(r, after), np.full(len(r), 1 / len(r))))
        weight = 1.0 if offline is None else self.online_weight
        if weight > 0:
            if self.bootstrap_online:
                y = bootstrapped(online.rewards[h], online.observations[h + 1])
            else:
                y = online.rewards[h:].sum(0)
            parts.append((online.observations[h], online.actions[h], y, np.full(len(y), weight / len(y))))
        return Regression(*(np.concatenate(columns) for columns in zip(*parts)))

    def pairs(
        self,
        online: Episodes,
        offline: Transitions | None,
        draw: Callable[[np.ndarray], np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        r"""Pairs of the policy's fit at every step, online ones first.

        Parameters
        ----------
        draw : callable
            Observations [H, m, size] → actions [H, m, 10] of the current policy.

        Returns
        -------
        observations [H, m, size], actions [H, m, 10], weights [m]
            The weights sum to 1, those of the online pairs to :math:`\lambda/(1+\lambda)`.
        """
        x, a = online.observations[:-1], online.actions
        n = x.shape[1]
        if offline is None:
            return x, a, np.full(n, 1 / n)
        y = offline.observations
        b = draw(y) if self.offline_actions == "resampled" else offline.actions
        weight = self.online_weight if self.policy_online_weight is None else self.policy_online_weight
        share, m = weight / (1 + weight), y.shape[1]
        weights = np.concatenate([np.full(n, share / n), np.full(m, (1 - share) / m)])
        return np.concatenate([x, y], axis=1), np.concatenate([a, b], axis=1), weights
