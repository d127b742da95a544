"""Bellman operators of an MDP on value vectors [S], compiled for CSR, BLAS for dense transitions."""

import numpy as np

from pgtheory.mdp.finite import FiniteMDP


class Bellman:
    """The optimality operator T and the evaluation operators T^pi of deterministic policies."""

    def __init__(self, mdp: FiniteMDP) -> None:
        self.mdp, self.gamma = mdp, mdp.discount
        self._rows = np.arange(mdp.n_states) * mdp.n_actions
        if mdp.is_sparse:
            self._longest = int(np.diff(mdp.pairs.indptr).max())
        else:
            self._longest = mdp.n_states

    def improve(self, V: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        """TV, the greedy policy [S] (ties to the lowest action), and min and max of TV - V."""
        mdp = self.mdp
        if mdp.is_sparse:
            from pgtheory.mdp.kernels import improve_csr

            TV, policy = np.empty(mdp.n_states), np.empty(mdp.n_states, np.int64)
            P = mdp.pairs
            low, high = improve_csr(
                P.indptr, P.indices, P.data, mdp.r, mdp.actions, self.gamma, V, TV, policy
            )
            return TV, policy, low, high
        Q = mdp.lookahead(V)
        policy = Q.argmax(-1)
        TV = np.take_along_axis(Q, policy[:, None], -1)[:, 0]
        change = TV - V
        return TV, policy, float(change.min()), float(change.max())

    def evaluate(
        self, V: np.ndarray, policy: np.ndarray, most: int, until: float
    ) -> tuple[np.ndarray, int, float, float]:
        """At most ``most`` backups of T^pi, fewer once the span of the change is below ``until``.

        Returns the last iterate, the number of backups, and min and max of the last change.
        """
        mdp = self.mdp
        low, high, done = 0.0, np.inf, 0
        if not mdp.is_sparse:
            rows = self._rows + policy
            P, r = self.gamma * mdp.pairs[rows], mdp.r[np.arange(mdp.n_states), policy]
        else:
            from pgtheory.mdp.kernels import sweep_csr
        while done < most and high - low > until:
            if mdp.is_sparse:
                out = np.empty(mdp.n_states)
                pairs = mdp.pairs
                low, high = sweep_csr(
                    pairs.indptr, pairs.indices, pairs.data, mdp.r, self.gamma, policy, V, out
                )
            else:
                out = r + P @ V
                change = out - V
                low, high = float(change.min()), float(change.max())
            V, done = out, done + 1
        return V, done, low, high

    def rounding(self, V: np.ndarray, shift: float = 0.0) -> float:
        """Bound on the rounding error of one backup: dot products of the longest row, sums, row sums of P.

        Row sums differ from one by rounding, so a backup moves V + ``shift`` not quite as far as V.
        """
        size = self.mdp.r_max + 2 * self.gamma * (float(np.abs(V).max()) + shift)
        return (self._longest + 4) * np.finfo(float).eps * size

    def reachable(self) -> float:
        """The certified error below which rounding makes a certificate impossible."""
        largest = self.mdp.r_max * (1 + 2 * self.gamma / (1 - self.gamma))
        return (self._longest + 4) * np.finfo(float).eps * largest / (1 - self.gamma)
