"""Compiled inner loops: Bellman operators on CSR transitions and batched solves of small dense systems."""

import numba
import numpy as np

# Re-association lets dot products vectorise; NaN and infinity keep their meaning.
FAST = {"contract", "reassoc", "nsz"}


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def improve_csr(indptr, indices, data, r, allowed, gamma, V, out, policy):
    """One Bellman optimality backup out = TV with its greedy policy; returns min and max of out - V."""
    n_states, n_actions = r.shape
    low, high = np.inf, -np.inf
    for s in range(n_states):
        best, arg = -np.inf, 0
        for a in range(n_actions):
            if allowed[s, a]:
                row = s * n_actions + a
                total = 0.0
                for i in range(indptr[row], indptr[row + 1]):
                    total += data[i] * V[indices[i]]
                q = r[s, a] + gamma * total
                if q > best:
                    best, arg = q, a
        out[s] = best
        policy[s] = arg
        change = best - V[s]
        low, high = min(low, change), max(high, change)
    return low, high


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def sweep_csr(indptr, indices, data, r, gamma, policy, V, out):
    """One evaluation backup out = T^pi V of a deterministic policy; returns min and max of out - V."""
    n_states, n_actions = r.shape
    low, high = np.inf, -np.inf
    for s in range(n_states):
        row = s * n_actions + policy[s]
        total = 0.0
        for i in range(indptr[row], indptr[row + 1]):
            total += data[i] * V[indices[i]]
        out[s] = r[s, policy[s]] + gamma * total
        change = out[s] - V[s]
        low, high = min(low, change), max(high, change)
    return low, high


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _factor(A):
    """LU in place without pivoting (unit lower factor), four pivots at a time.

    Stable here: I - gamma P is strictly diagonally dominant by rows, which bounds the growth factor by 2.
    """
    n = A.shape[0]
    k = 0
    while k < n:
        end = min(k + 4, n)
        for p in range(k, end):
            inverse = 1.0 / A[p, p]
            for i in range(p + 1, n):
                f = A[i, p] * inverse
                A[i, p] = f
                for j in range(p + 1, end):
                    A[i, j] -= f * A[p, j]
        for p in range(k, end):
            for q in range(p + 1, end):
                f = A[q, p]
                for j in range(end, n):
                    A[q, j] -= f * A[p, j]
        if end < n:
            u0, u1, u2, u3 = A[k], A[k + 1], A[k + 2], A[k + 3]
            for i in range(end, n):
                row = A[i]
                l0, l1, l2, l3 = row[k], row[k + 1], row[k + 2], row[k + 3]
                for j in range(end, n):
                    row[j] -= l0 * u0[j] + l1 * u1[j] + l2 * u2[j] + l3 * u3[j]
        k = end


@numba.njit(cache=True, nogil=True, fastmath=FAST, parallel=True)
def factor_batch(P, pi, gamma):
    """LU factors [B, S, S] of I - gamma P^pi for policies pi [B, S, A] on dense P [S, A, S]."""
    B, n, n_actions = pi.shape
    LU = np.empty((B, n, n))
    for b in numba.prange(B):
        A = LU[b]
        for s in range(n):
            row = A[s]
            row[:] = 0.0
            for a in range(n_actions):
                w = -gamma * pi[b, s, a]
                if w != 0.0:
                    next_state = P[s, a]
                    for t in range(n):
                        row[t] += w * next_state[t]
            row[s] += 1.0
        _factor(A)
    return LU


@numba.njit(cache=True, nogil=True, fastmath=FAST, parallel=True)
def solve_batch(LU, b, transpose):
    """Solve (LU) x = b, or its transpose, for right-hand sides b [B, k, S]."""
    B, n = LU.shape[0], LU.shape[1]
    x = np.empty_like(b)
    for i in numba.prange(B):
        A = LU[i]
        for k in range(b.shape[1]):
            y = x[i, k]
            y[:] = b[i, k]
            if transpose:
                for row in range(n):
                    y[row] /= A[row, row]
                    f = y[row]
                    for j in range(row + 1, n):
                        y[j] -= f * A[row, j]
                for row in range(n - 1, -1, -1):
                    f = y[row]
                    for j in range(row):
                        y[j] -= f * A[row, j]
            else:
                for row in range(n):
                    total = 0.0
                    for j in range(row):
                        total += A[row, j] * y[j]
                    y[row] -= total
                for row in range(n - 1, -1, -1):
                    total = 0.0
                    for j in range(row + 1, n):
                        total += A[row, j] * y[j]
                    y[row] = (y[row] - total) / A[row, row]
    return x
