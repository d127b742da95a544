r"""The layered MDP on which agnostic policy learning is studied: every state lives in one layer.

A trajectory is :math:`s_1,a_1,\dots,s_H,a_H` with :math:`s_h\in\mathcal S_h`. Layers may differ in size; states are
numbered within their layer, and in arrays layer h has index h - 1. Policies come in batches of n, one array per
layer: integers ``[n, S_h]`` for the actions of deterministic policies, floats ``[n, S_h, A]`` for probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.transitions import row_sum_tolerance, rows_sum_to_one

Layers = tuple[np.ndarray, ...]
"""One array per layer."""


@dataclass(frozen=True, eq=False)
class LayeredEvaluation:
    """Exact values and occupancies of n policies; every tuple has one array per layer.

    Attributes
    ----------
    value : array [n]
        Expected return from the start distribution.
    V : tuple of H arrays [n, S_h]
        Return from a state of layer h to the end.
    Q : tuple of H arrays [n, S_h, A]
        Return from a state and action of layer h.
    occupancy : tuple of H arrays [n, S_h]
        Probability of visiting a state; each row sums to one.
    """

    value: np.ndarray
    V: Layers
    Q: Layers
    occupancy: Layers


class LayeredMDP:
    r"""A finite-horizon MDP in layers, validated once and immutable.

    Parameters
    ----------
    start : array [S_1]
        Distribution :math:`d_1` of the first state.
    transitions : sequence of H-1 arrays [S_h, A, S_{h+1}]
        :math:`P_h(s'|s,a)`; rows sum to one.
    rewards : sequence of H arrays [S_h, A]
        Mean rewards.
    name : str, optional
        Shown by ``repr`` and on figures.

    Attributes
    ----------
    start, transitions, rewards, name
        As above, read-only arrays in tuples.
    horizon, n_actions : int
        H and A.
    sizes : tuple of int
        Number of states of each layer.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it held and what was expected.
    """

    def __init__(
        self, start: Any, transitions: Sequence[Any], rewards: Sequence[Any], *, name: str = ""
    ) -> None:
        given = validate.sequence("rewards", rewards, "arrays [S_h, A]")
        r = [validate.real_array(f"rewards[{h}]", x, (None, None), "[S_h, A]") for h, x in enumerate(given)]
        steps = validate.sequence("transitions", transitions, "arrays [S_h, A, S_h+1]")
        if not r:
            raise ValueError("rewards must hold at least one layer, got none")
        if len(steps) != len(r) - 1:
            raise ValueError(
                f"transitions must hold H-1 = {len(r) - 1} arrays for {len(r)} layers of rewards, got {len(steps)}"
            )
        for h, x in enumerate(r):
            if x.size == 0 or x.shape[1] != r[0].shape[1]:
                raise ValueError(
                    f"rewards[{h}] must have at least one state and the {r[0].shape[1]} actions of the first layer, "
                    f"got shape {list(x.shape)}"
                )
        self.sizes = tuple(x.shape[0] for x in r)
        self.n_actions = r[0].shape[1]
        self.horizon = len(r)
        self.start = validate.distribution("start", start, self.sizes[0])
        self.transitions: Layers = tuple(
            _step(f"transitions[{h}]", x, (self.sizes[h], self.n_actions, self.sizes[h + 1]))
            for h, x in enumerate(steps)
        )
        self.rewards: Layers = tuple(r)
        self.name = str(name)
        for array in (self.start, *self.transitions, *self.rewards):
            array.flags.writeable = False

    def __repr__(self) -> str:
        sizes = self.sizes[0] if len(set(self.sizes)) == 1 else list(self.sizes)
        return f"LayeredMDP({self.name + ': ' if self.name else ''}H={self.horizon}, S={sizes}, A={self.n_actions})"

    @property
    def is_deterministic(self) -> bool:
        """Whether there is one start state and every action has one successor."""
        return all(bool(np.isin(x, (0.0, 1.0)).all()) for x in (self.start, *self.transitions))

    # -- exact dynamic programming ------------------------------------------------------------------------

    def evaluate(self, policies: Sequence[Any]) -> LayeredEvaluation:
        """Exact values and occupancies of n policies: H arrays [n, S_h] of actions, or [n, S_h, A] of probabilities."""
        pi = self.check_policies(policies)
        V: list[np.ndarray] = []
        Q: list[np.ndarray] = []
        for h in reversed(range(self.horizon)):
            ahead = self.lookahead(h, V[0] if V else None)
            Q.insert(0, np.broadcast_to(ahead, (len(pi[h]), *ahead.shape[-2:])))
            V.insert(0, _average(Q[0], pi[h]))
        return LayeredEvaluation(V[0] @ self.start, tuple(V), tuple(Q), self._flow(pi, None))

    def values(self, policies: Sequence[Any]) -> np.ndarray:
        """Expected returns [n] of n policies, without keeping what ``evaluate`` does."""
        pi = self.check_policies(policies)
        V: np.ndarray | None = None
        for h in reversed(range(self.horizon)):
            V = _average(self.lookahead(h, V), pi[h])
        assert V is not None  # there is at least one layer
        return V @ self.start

    def occupancy(self, policies: Sequence[Any], inject: Sequence[Any] | None = None) -> Layers:
        """Visits of n policies, H arrays [n, S_h].

        ``inject``, H arrays [S_h] of non-negative mass, replaces the start: mass that enters at each layer and
        then follows the policy (restarts at layer h with probability 1/H each are ``mu_h / H``).
        """
        if inject is not None:
            mass = validate.sequence("inject", inject, "arrays [S_h]")
            if len(mass) != self.horizon:
                raise ValueError(f"inject must hold {self.horizon} arrays, one per layer, got {len(mass)}")
            inject = [
                validate.real_array(f"inject[{h}]", x, (self.sizes[h],), "[S_h]") for h, x in enumerate(mass)
            ]
        return self._flow(self.check_policies(policies), inject)

    def optimal(self) -> tuple[Layers, Layers]:
        """Optimal values and action values over all policies: H arrays [S_h], and H arrays [S_h, A]."""
        V: list[np.ndarray] = []
        Q: list[np.ndarray] = []
        for h in reversed(range(self.horizon)):
            Q.insert(0, self.lookahead(h, V[0] if V else None))
            V.insert(0, Q[0].max(-1))
        return tuple(V), tuple(Q)

    def lookahead(self, h: int, V: np.ndarray | None) -> np.ndarray:
        """Reward plus expected value [..., S_h, A] of layer index h; ``V`` [..., S_{h+1}], None at the last."""
        if V is None:
            return self.rewards[h]
        S, A = self.rewards[h].shape
        ahead = V @ self.transitions[h].reshape(S * A, -1).T
        return self.rewards[h] + ahead.reshape(*V.shape[:-1], S, A)

    def check_policies(self, policies: Sequence[Any]) -> Layers:
        """H arrays of n policies, as integers [n, S_h] or probabilities [n, S_h, A]; refuses others."""
        given = validate.sequence("policies", policies, "arrays [n, S_h] or [n, S_h, A]")
        if len(given) != self.horizon:
            raise ValueError(f"policies must hold H = {self.horizon} arrays, one per layer, got {len(given)}")
        pi = tuple(self._check_layer(h, x) for h, x in enumerate(given))
        n = {len(x) for x in pi}
        if len(n) > 1:
            raise ValueError(f"policies must be equally many in every layer, got {[len(x) for x in pi]}")
        return pi

    def _check_layer(self, h: int, value: Any) -> np.ndarray:
        array, S, A = validate.numbers(f"policies[{h}]", value), self.sizes[h], self.n_actions
        if array.size == 0 or array.shape[1:] not in ((S,), (S, A)):
            raise ValueError(
                f"policies[{h}] must have shape [n, S_h] = [n, {S}] (actions) or [n, S_h, A] = [n, {S}, {A}] "
                f"(probabilities), got {list(array.shape)}"
            )
        if array.ndim == 2:
            if array.dtype.kind == "f" or array.min() < 0 or array.max() >= A:
                raise ValueError(
                    f"policies[{h}] must hold actions, integers 0..{A - 1}, "
                    f"got {array.dtype} in {array.min()}..{array.max()}"
                )
            return array
        probabilities = array.astype(np.float64)
        if not (probabilities >= 0).all() or (np.abs(probabilities.sum(-1) - 1) > 1e-8).any():
            raise ValueError(
                f"policies[{h}] must hold action probabilities that are non-negative and sum to one"
            )
        return probabilities

    def _flow(self, pi: Layers, inject: Sequence[np.ndarray] | None) -> Layers:
        first = self.start if inject is None else inject[0]
        d = [np.tile(first, (len(pi[0]), 1))]
        for h, step in enumerate(self.transitions):
            joint = _joint(d[h], pi[h], self.n_actions)
            following = joint.reshape(len(joint), -1) @ step.reshape(-1, step.shape[-1])
            d.append(following if inject is None else following + inject[h + 1])
        return tuple(d)


def _step(name: str, value: Any, shape: tuple[int, int, int]) -> np.ndarray:
    rows = validate.real_array(name, value, shape, "[S_h, A, S_h+1]").reshape(-1, shape[2])
    return rows_sum_to_one(rows, np.ones(shape[:2], bool), row_sum_tolerance(value), name).reshape(shape)


def _average(Q: np.ndarray, pi: np.ndarray) -> np.ndarray:
    """Values [n, S] of action values [n, S, A] or [S, A] under actions [n, S] or probabilities [n, S, A]."""
    if pi.ndim == 3:
        return (Q * pi).sum(-1)
    return np.take_along_axis(np.broadcast_to(Q, (*pi.shape, Q.shape[-1])), pi[..., None], -1)[..., 0]


def _joint(d: np.ndarray, pi: np.ndarray, n_actions: int) -> np.ndarray:
    """Visits of pairs [n, S, A] of visits [n, S]."""
    return d[..., None] * (pi if pi.ndim == 3 else pi[..., None] == np.arange(n_actions))
