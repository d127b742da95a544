"""Finite-horizon MDPs as arrays with a leading axis of steps, and what episodes say about them.

A policy of a layered MDP is one of its stationary policies, seen as [seeds, H, n, A]: n states a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pgtheory.mdp import FiniteMDP, validate
from pgtheory.mdp.sampling import Sampler, Trajectories


class Layers:
    """A layered MDP whose layers have n states each, as ``unroll`` and ``diabolical-lock`` make them.

    Parameters
    ----------
    mdp : FiniteMDP
        State ``h * n + s`` is state s at step h, the last state the end.
    lottery : float, optional
        Rewards up to this are paid as lotteries when sampled: r as ``lottery`` with probability r / lottery.

    Attributes
    ----------
    P : array [H - 1, n, A, n]
    r : array [H, n, A]
    start : array [n]

    Raises
    ------
    TypeError, ValueError
        If the MDP has no horizon or other layers, or ``lottery`` is not positive.
    """

    def __init__(self, mdp: FiniteMDP, lottery: float | None = None) -> None:
        validate.instance_of("mdp", mdp, FiniteMDP)
        if mdp.horizon is None:
            raise ValueError("mdp must have a horizon, got an infinite one: pgtheory.mdp.unroll gives it one")
        H, (n, extra) = mdp.horizon, divmod(mdp.n_states - 1, mdp.horizon)
        layer = np.arange(mdp.n_states) // max(n, 1)
        rows = mdp.pairs.toarray() if mdp.is_sparse else mdp.pairs
        P = rows.reshape(*mdp.r.shape, mdp.n_states)
        leaves = P.any(1) & (layer[None] != layer[:, None] + 1)
        if n == 0 or extra or mdp.terminal[:-1].any() or not mdp.terminal[-1] or leaves[:-1].any():
            raise ValueError(
                "mdp must be layered, equally many states a step and one last, terminal one: see pgtheory.mdp.unroll"
            )
        if not mdp.actions.all() or mdp.start[n:].any():
            raise ValueError("mdp must start in its first layer and permit all actions everywhere")
        steps = P[:-1, :, :-1].reshape(H, n, mdp.n_actions, H, n)
        self.P = np.stack([steps[h, :, :, h + 1] for h in range(H - 1)] or [np.zeros((n, mdp.n_actions, n))])[
            : H - 1
        ]
        self.r, self.start = mdp.r[:-1].reshape(H, n, mdp.n_actions), mdp.start[:n]
        self.discount, self.lottery = mdp.discount, None
        if lottery is not None:
            self.lottery = validate.positive("lottery", lottery)
        self._sampler = Sampler(mdp)

    @property
    def shape(self) -> tuple[int, int, int]:
        """H, n, A."""
        return self.r.shape

    def uniform(self, seeds: int) -> np.ndarray:
        """The uniform policy [seeds, H, n, A]."""
        return np.full((seeds, *self.shape), 1 / self.shape[-1])

    def values(self, pi: np.ndarray) -> np.ndarray:
        """Action values [..., H, n, A] of policies [..., H, n, A]."""
        Q = np.empty(pi.shape)
        V = np.zeros((*pi.shape[:-3], self.shape[1]))
        for h in range(self.shape[0] - 1, -1, -1):
            Q[..., h, :, :] = self.r[h]
            if h < len(self.P):
                Q[..., h, :, :] += self.discount * np.einsum("iaj,...j->...ia", self.P[h], V)
            V = (pi[..., h, :, :] * Q[..., h, :, :]).sum(-1)
        return Q

    def expected_return(self, pi: np.ndarray) -> np.ndarray:
        """Returns [...] of policies [..., H, n, A]."""
        first = pi[..., 0, :, :] * self.values(pi)[..., 0, :, :]
        return first.sum(-1) @ self.start

    def draw(self, pi: np.ndarray, episodes: int, rngs: Sequence[np.random.Generator]) -> Trajectories:
        """Episodes of the policies [seeds, H, n, A], each from its own generator; states count from 0 a step."""
        H, n, A = self.shape
        keys = np.array([rng.integers(2**64, dtype=np.uint64) for rng in rngs])
        end = np.full((len(pi), 1, A), 1 / A)
        tau = self._sampler.sample(
            np.concatenate([pi.reshape(len(pi), H * n, A), end], axis=1), keys, episodes, H
        )
        tau.states[...] -= n * np.arange(H, dtype=np.int32)
        if self.lottery is not None:
            chance = (
                np.stack([rng.random(tau.rewards.shape[1:]) for rng in rngs]) * self.lottery < tau.rewards
            )
            tau.rewards[...] = np.where(tau.rewards <= self.lottery, self.lottery * chance, tau.rewards)
        return tau


@dataclass(frozen=True, eq=False)
class Counts:
    """Episodes by step and pair, for each seed; averages are 0 where a pair was not seen.

    Attributes
    ----------
    weights : array [seeds, H, n, A]
        Share of the episodes that had this pair at this step.
    r : array [seeds, H, n, A]
        Mean reward.
    returns : array [seeds, H, n, A]
        Mean sum of rewards from this step on.
    P : array [seeds, H - 1, n, A, n]
        Shares of the successors.
    """

    weights: np.ndarray
    r: np.ndarray
    returns: np.ndarray
    P: np.ndarray

    @classmethod
    def of(cls, tau: Trajectories, layers: Layers) -> Counts:
        """Count complete episodes, as :meth:`Layers.draw` gives them."""
        (H, n, A), (seeds, episodes, _) = layers.shape, tau.states.shape
        step = np.arange(seeds)[:, None, None] * H + np.arange(H)
        pair = (step * n + tau.states) * A + tau.actions
        size = seeds * H * n * A
        visits = np.bincount(pair.ravel(), minlength=size)

        def mean(x: np.ndarray) -> np.ndarray:
            total = np.bincount(pair.ravel(), x.ravel(), size)
            return (total / np.maximum(visits, 1)).reshape(seeds, H, n, A)

        going = layers.discount ** np.arange(H)
        returns = (tau.rewards * going)[..., ::-1].cumsum(-1)[..., ::-1] / going
        after = pair[..., :-1] * n + tau.states[..., 1:]
        moves = np.bincount(after.ravel(), minlength=size * n).reshape(seeds, H, n, A, n)
        share = moves / np.maximum(visits, 1).reshape(seeds, H, n, A, 1)
        weights = (visits / episodes).reshape(seeds, H, n, A)
        return cls(weights, mean(tau.rewards), mean(returns), share[:, :-1])
