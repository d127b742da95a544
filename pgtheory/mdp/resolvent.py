r"""Solving with :math:`I-\gamma P^\pi` and its transpose, directly where small, by Krylov where large.

The two linear systems behind every exact policy quantity:

.. math::  V^\pi=(I-\gamma P^\pi)^{-1}r^\pi, \qquad  m^\pi=(I-\gamma P^{\pi\top})^{-1}\rho .

Every answer can be certified from its residual: :math:`\|(I-\gamma P^\pi)^{-1}\|_\infty=1/(1-\gamma)`, so
:math:`\|x-x^*\|_\infty\le\|b-(I-\gamma P^\pi)x\|_\infty/(1-\gamma)`, and the same in the 1-norm for the
transpose.
"""

from typing import Any, Protocol

import numpy as np
from scipy import linalg, sparse

from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.threads import over_batch

COMPILED_UP_TO = 96  # states: below, our batched LU beats LAPACK called in a loop
DENSE_ENOUGH = 2000  # states: factors fit whatever their fill-in
FACTORISE_UP_TO = 2e8  # operations of a banded factorisation: above, fill-in makes Krylov cheaper


class Resolvent(Protocol):
    """Solves with I - gamma P^pi for a batch of policies."""

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x with (I - gamma P^pi) x = b; b [B, k, S] -> [B, k, S]."""

    def solve_transposed(self, b: np.ndarray) -> np.ndarray:
        """x with (I - gamma P^pi)^T x = b; b [B, k, S] -> [B, k, S]."""


def compiled(mdp: FiniteMDP) -> bool:
    """Whether the MDP is dense and small enough for the compiled batched solver."""
    return not mdp.is_sparse and mdp.n_states <= COMPILED_UP_TO


def resolvent(mdp: FiniteMDP, pi: np.ndarray, tol: float = 1e-12) -> Resolvent:
    """The resolvent of the policies pi [B, S, A]; ``tol`` is the relative accuracy asked of Krylov."""
    if compiled(mdp):
        return CompiledLU(mdp, pi)
    return chain_resolvent([mdp.induced(one)[0] for one in pi], mdp.discount, tol)


def chain_resolvent(chains: list[Any], gamma: float, tol: float = 1e-12) -> Resolvent:
    """The resolvent of Markov chains [S, S]: direct if dense, small or nearly banded, else Krylov."""
    if not sparse.issparse(chains[0]):
        return DenseLU(chains, gamma)
    if all(_factorisation_work(P) <= FACTORISE_UP_TO for P in chains):
        return SparseLU(chains, gamma)
    return Krylov(chains, gamma, tol)


def _factorisation_work(P: Any) -> float:
    """Operations to factor a sparse chain as a band matrix: S times its squared bandwidth after reordering."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    n = P.shape[0]
    if n**3 <= FACTORISE_UP_TO:
        return float(n) ** 3
    place = np.empty(n, int)
    place[reverse_cuthill_mckee(P)] = np.arange(n)
    P = P.tocoo()
    return n * float(np.abs(place[P.row] - place[P.col]).max()) ** 2


class CompiledLU:
    """Batched LU of small dense systems, compiled and threaded over the batch."""

    def __init__(self, mdp: FiniteMDP, pi: np.ndarray) -> None:
        from pgtheory.mdp.kernels import factor_range

        B, S, _ = pi.shape
        self._LU = np.empty((B, S, S))
        over_batch(factor_range, B, S**3, mdp.backward, pi, mdp.discount, self._LU)

    def solve(self, b: np.ndarray) -> np.ndarray:
        return self._both(b, False)

    def solve_transposed(self, b: np.ndarray) -> np.ndarray:
        return self._both(b, True)

    def _both(self, b: np.ndarray, transposed: bool) -> np.ndarray:
        from pgtheory.mdp.kernels import solve_range

        x = np.array(b, order="C")
        over_batch(solve_range, len(x), 2.0 * x[0].size * x.shape[-1], self._LU, x, transposed)
        return x


def values_and_visits(
    mdp: FiniteMDP, pi: np.ndarray, tol: float
) -> tuple[np.ndarray, np.ndarray, Resolvent | None]:
    """V [B, S] and discounted visits m [B, S] of policies [B, S, A], and the resolvent if one was built."""
    if compiled(mdp):
        from pgtheory.mdp.kernels import stationary_range

        V, m = np.empty((2, *pi.shape[:2]))
        work = float(mdp.n_states) ** 3
        over_batch(stationary_range, len(pi), work, mdp.backward, mdp.r, mdp.start, pi, mdp.discount, V, m)
        return V, m, None
    solver = resolvent(mdp, pi, tol)
    V = solver.solve((pi * mdp.r).sum(-1)[:, None, :])
    m = solver.solve_transposed(np.broadcast_to(mdp.start, (len(pi), 1, mdp.n_states)))
    return V[:, 0], m[:, 0], solver


class DenseLU:
    """LAPACK, one factorisation a policy."""

    def __init__(self, chains: list[np.ndarray], gamma: float) -> None:
        self._LU = [linalg.lu_factor(np.eye(len(P)) - gamma * P) for P in chains]

    def solve(self, b: np.ndarray) -> np.ndarray:
        return np.stack([linalg.lu_solve(lu, x.T).T for lu, x in zip(self._LU, b)])

    def solve_transposed(self, b: np.ndarray) -> np.ndarray:
        return np.stack([linalg.lu_solve(lu, x.T, trans=1).T for lu, x in zip(self._LU, b)])


class SparseLU:
    """SuperLU, one factorisation a policy."""

    def __init__(self, chains: list[Any], gamma: float) -> None:
        from scipy.sparse.linalg import splu

        eye = sparse.eye_array(chains[0].shape[0], format="csc")
        self._LU = [splu(sparse.csc_array(eye - gamma * P)) for P in chains]

    def solve(self, b: np.ndarray) -> np.ndarray:
        return np.stack([lu.solve(np.ascontiguousarray(x.T)).T for lu, x in zip(self._LU, b)])

    def solve_transposed(self, b: np.ndarray) -> np.ndarray:
        return np.stack([lu.solve(np.ascontiguousarray(x.T), "T").T for lu, x in zip(self._LU, b)])


class Krylov:
    """BiCGSTAB on the stored chain; where it fails, factors if there are few states, else fixed-point sweeps."""

    def __init__(self, chains: list[Any], gamma: float, tol: float) -> None:
        self._chains, self._gamma, self._tol = chains, gamma, tol

    def solve(self, b: np.ndarray) -> np.ndarray:
        return np.stack([[self._one(P, y, np.inf) for y in x] for P, x in zip(self._chains, b)])

    def solve_transposed(self, b: np.ndarray) -> np.ndarray:
        chains = [sparse.csr_array(P.T) for P in self._chains]
        return np.stack([[self._one(P, y, 1) for y in x] for P, x in zip(chains, b)])

    def _one(self, P: Any, b: np.ndarray, norm: float) -> np.ndarray:
        from scipy.sparse.linalg import LinearOperator, bicgstab

        scale = np.linalg.norm(b, norm)
        if scale == 0:
            return np.zeros_like(b)
        gamma, target = self._gamma, self._tol * scale
        A = LinearOperator(P.shape, matvec=lambda x: x - gamma * (P @ x), dtype=float)
        # A 2-norm of target / sqrt(n) would imply the 1-norm; the residual in the norm asked for decides.
        x, residual = np.zeros_like(b), b.copy()
        for _ in range(4):
            aim = target if norm == np.inf else target / np.sqrt(len(b))
            step, _ = bicgstab(A, residual, rtol=0.0, atol=aim, maxiter=400)
            proposal = x + step
            fresh = b - A.matvec(proposal)
            if not np.linalg.norm(fresh, norm) < np.linalg.norm(residual, norm):
                break
            x, residual = proposal, fresh
            if np.linalg.norm(residual, norm) <= target:
                return x
        if len(b) <= DENSE_ENOUGH:
            return SparseLU([P], gamma).solve(b[None, None])[0, 0]
        rounding = 4 * np.finfo(float).eps * scale / (1 - gamma)
        left = np.linalg.norm(residual, norm)
        # Every sweep shrinks the residual by gamma at least: more than these cannot help.
        for _ in range(int(np.ceil(np.log(max(target, rounding) / left) / np.log(gamma))) if left > 0 else 0):
            x = x + residual
            residual = b - A.matvec(x)
        return x
