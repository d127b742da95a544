r"""The finite Markov decision process that everything exact stands on.

States :math:`s\in\{0,\dots,S-1\}`, actions :math:`a\in\{0,\dots,A-1\}`, transition probabilities
:math:`P(s'|s,a)`, expected rewards :math:`r(s,a)`, discount :math:`\gamma`, start distribution
:math:`\rho`. The objective of a stationary policy is
:math:`J(\pi)=\mathbb E\sum_{t\ge0}\gamma^t r(s_t,a_t)`, or the sum over :math:`t<H` under a horizon.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from pgtheory.mdp import canonical, transitions, validate


class FiniteMDP:
    r"""A finite MDP, validated once and immutable.

    Parameters
    ----------
    P : array [S, A, S] or sparse [S*A, S]
        Transition probabilities. A SciPy sparse matrix has one row per state–action pair, pair
        ``(s, a)`` in row ``s * A + a``; it is never densified.
    rewards : array [S, A] or [S, A, S] (or sparse [S*A, S] beside a sparse ``P``)
        Expected reward of a pair, or reward of a transition.
    discount : float
        :math:`\gamma\in[0,1)`; exactly 1 is allowed when ``horizon`` is given.
    start : array [S], optional
        Start distribution :math:`\rho`; uniform over non-terminal states by default.
    terminal : bool array [S], optional
        States where the episode has ended: stored as self-loops with zero reward, value 0. Their rows
        in ``P`` may be empty; they may not lead elsewhere or carry reward.
    actions : bool array [S, A], optional
        Which actions a state permits; all by default. Rows of forbidden pairs are ignored.
    horizon : int, optional
        Episodes are truncated after this many decisions.
    name : str, optional
        Shown by ``repr`` and on figures.
    grid : int array [rows, columns], optional
        For pictures of gridworlds: the state of each cell, -1 for a wall.

    Attributes
    ----------
    P, r, discount, start, terminal, actions, horizon, name, grid
        As above, with ``r`` the expected reward [S, A] (zero for forbidden pairs).
    transition_rewards : like ``P``, or None
        Rewards per transition where they were given that way.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what it held (which row, by how much) and what was expected.
    """

    P: Any
    r: np.ndarray
    discount: float
    start: np.ndarray
    terminal: np.ndarray
    actions: np.ndarray
    horizon: int | None
    name: str
    grid: np.ndarray | None
    transition_rewards: Any

    def __init__(
        self,
        P: Any,
        rewards: Any,
        discount: float,
        start: Any = None,
        *,
        terminal: Any = None,
        actions: Any = None,
        horizon: int | None = None,
        name: str = "",
        grid: Any = None,
    ) -> None:
        horizon = None if horizon is None else validate.positive_integer("horizon", horizon)
        discount = validate.discount_factor(discount, horizon)
        rewards = rewards if sparse.issparse(rewards) else validate.numbers("rewards", rewards)
        pairs, n_states, n_actions = transitions.pairs_of(P, rewards)

        ended = (
            np.zeros(n_states, bool)
            if terminal is None
            else validate.boolean_array("terminal", terminal, (n_states,))
        )
        permitted = (
            np.ones((n_states, n_actions), bool)
            if actions is None
            else validate.boolean_array("actions", actions, (n_states, n_actions))
        )
        stuck = ~permitted.any(axis=1) & ~ended
        if stuck.any():
            raise ValueError(
                f"actions must permit at least one action in state {int(np.argmax(stuck))}, got none"
            )
        if ended.all():
            raise ValueError(
                "terminal must leave at least one state where a decision is made, got all terminal"
            )

        pairs = canonical.close_terminal_states(pairs, ended, permitted)
        permitted[ended] = True
        pairs = transitions.rows_sum_to_one(pairs, permitted, transitions.row_sum_tolerance(P))
        r, transition_rewards = canonical.expected_rewards(rewards, pairs, permitted)
        canonical.refuse_overflow(r, discount, horizon)
        if (r[ended] != 0).any():
            s = int(np.flatnonzero((r != 0).any(axis=1) & ended)[0])
            raise ValueError(
                f"rewards of terminal state {s} must be zero: put them on the transition into it"
            )

        if start is None:
            rho = (~ended).astype(float) / (~ended).sum()
        else:
            rho = validate.distribution("start", start, n_states)
        self._pairs: Any = pairs
        self.P = pairs if sparse.issparse(pairs) else pairs.reshape(n_states, n_actions, n_states)
        self.r, self.transition_rewards = r, transition_rewards
        self.discount, self.start, self.horizon = discount, rho, horizon
        self.terminal, self.actions = ended, permitted
        self.name = str(name)
        self.grid = None
        if grid is not None:
            self.grid = validate.indices("grid", grid, (None, None), "[rows, columns]", -1, n_states - 1)
        canonical.freeze(self._pairs, self.P, r, transition_rewards, rho, ended, permitted, self.grid)

    # -- shape ------------------------------------------------------------------------------------------

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return self.r.shape[0]

    @property
    def n_actions(self) -> int:
        """Number of actions A (of the largest action set)."""
        return self.r.shape[1]

    @property
    def is_sparse(self) -> bool:
        """Whether ``P`` is stored as CSR over state–action pairs."""
        return sparse.issparse(self._pairs)

    @property
    def pairs(self) -> Any:
        """Transitions as a matrix [S*A, S], dense or CSR, whichever is stored."""
        return self._pairs

    @cached_property
    def backward(self) -> np.ndarray:
        """Dense transitions seen from the successor, [S', A, S], as the compiled solver reads them."""
        return np.ascontiguousarray(self.P.transpose(2, 1, 0))

    @property
    def r_max(self) -> float:
        """Largest absolute expected reward, the theory's :math:`r_{max}`."""
        return float(np.abs(self.r).max())

    def __repr__(self) -> str:
        kind = f"CSR, {self._pairs.nnz} transitions" if self.is_sparse else "dense"
        parts = [f"S={self.n_states}", f"A={self.n_actions}", f"discount={self.discount:g}", kind]
        if self.horizon is not None:
            parts.insert(3, f"horizon={self.horizon}")
        if self.terminal.any():
            parts.append(f"{int(self.terminal.sum())} terminal")
        return f"FiniteMDP({self.name + ': ' if self.name else ''}{', '.join(parts)})"

    # -- the two linear maps ----------------------------------------------------------------------------

    def expect(self, V: np.ndarray) -> np.ndarray:
        r"""Expected next value :math:`(PV)(s,a)=\sum_{s'}P(s'|s,a)V(s')`; V [..., S] -> [..., S, A]."""
        V = validate.trailing("V", V, (self.n_states,), "[..., S]")
        flat = V.reshape(-1, self.n_states)
        out = (self._pairs @ flat.T).T if self.is_sparse else flat @ self._pairs.T
        return np.ascontiguousarray(out).reshape(*V.shape[:-1], self.n_states, self.n_actions)

    def push(self, w: np.ndarray) -> np.ndarray:
        r"""Next-state mass :math:`\sum_{s,a}w(s,a)P(\cdot|s,a)`; w [..., S, A] -> [..., S]."""
        w = validate.trailing("w", w, self.r.shape, "[..., S, A]")
        flat = w.reshape(-1, self.n_states * self.n_actions)
        out = (self._pairs.T @ flat.T).T if self.is_sparse else flat @ self._pairs
        return np.ascontiguousarray(out).reshape(*w.shape[:-2], self.n_states)

    def lookahead(self, V: np.ndarray) -> np.ndarray:
        r"""One-step look-ahead :math:`r+\gamma PV` [..., S, A]; forbidden actions get :math:`-\infty`."""
        Q = self.r + self.discount * self.expect(V)
        return np.where(self.actions, Q, -np.inf)

    def induced(self, pi: np.ndarray) -> tuple[Any, np.ndarray]:
        r"""Markov chain of one policy [S, A]: :math:`P^\pi` [S, S] (dense or CSR) and :math:`r^\pi` [S]."""
        n, k = self.n_states, self.n_actions
        if not self.is_sparse:
            return np.einsum("sa,sat->st", pi, self.P), (pi * self.r).sum(-1)
        indptr = np.arange(n + 1) * k
        # A copy: dropping the zeros below would otherwise rewrite the caller's policy.
        mix = sparse.csr_array((np.array(pi).ravel(), np.arange(n * k), indptr), shape=(n, n * k))
        mix.eliminate_zeros()
        return sparse.csr_array(mix @ self._pairs), (pi * self.r).sum(-1)

    # -- variants ---------------------------------------------------------------------------------------

    def replace(self, **changes: Any) -> FiniteMDP:
        """The same MDP with some constructor arguments changed (``discount=``, ``start=``, ``horizon=``, …)."""
        given = {
            "P": self.P,
            "rewards": self.r if self.transition_rewards is None else self.transition_rewards,
            "discount": self.discount,
            "start": self.start,
            "terminal": self.terminal,
            "actions": self.actions,
            "horizon": self.horizon,
            "name": self.name,
            "grid": self.grid,
        }
        unknown = changes.keys() - given.keys()
        if unknown:
            raise TypeError(f"replace got unknown arguments {sorted(unknown)}; known: {sorted(given)}")
        return FiniteMDP(**{**given, **changes})

    def to_sparse(self) -> FiniteMDP:
        """The same MDP with transitions stored as CSR over state–action pairs."""
        return self if self.is_sparse else self.replace(P=sparse.csr_array(self._pairs), rewards=self.r)

    def to_dense(self) -> FiniteMDP:
        """The same MDP with a dense transition tensor [S, A, S]."""
        if not self.is_sparse:
            return self
        return self.replace(
            P=self._pairs.toarray().reshape(self.n_states, self.n_actions, self.n_states), rewards=self.r
        )

    @classmethod
    def from_successors(
        cls,
        successors: Any,
        probabilities: Any,
        rewards: Any,
        discount: float,
        start: Any = None,
        **options: Any,
    ) -> FiniteMDP:
        """A sparse MDP from successor lists: states [S, A, k] and their probabilities [S, A, k].

        Repeated successors are added up. ``options`` are those of the constructor.
        """
        successors = validate.rectangular("successors", successors)
        if successors.ndim != 3 or successors.dtype.kind not in "iu":
            raise ValueError(
                f"successors must be an integer array [S, A, k], got {successors.dtype} {list(successors.shape)}"
            )
        p = validate.real_array("probabilities", probabilities, successors.shape, "[S, A, k]")
        if (p < 0).any():
            raise ValueError(f"probabilities must be non-negative, got {p.min():.6g}")
        n, a, k = successors.shape
        if successors.size and not 0 <= successors.min() <= successors.max() < n:
            bad = int(successors.max() if successors.max() >= n else successors.min())
            raise ValueError(f"successors must be states 0..{n - 1}, got {bad}")
        index = np.int32 if n * a * k < 2**31 else np.int64
        indptr = np.arange(n * a + 1, dtype=index) * k
        P = sparse.csr_array((p.ravel(), successors.ravel().astype(index), indptr), shape=(n * a, n))
        return cls(P, rewards, discount, start, **options)
