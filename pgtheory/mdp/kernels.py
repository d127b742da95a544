"""Compiled inner loops: Bellman backups on CSR transitions, softmax rows, small dense systems in batches."""

import numba
import numpy as np

# Re-association lets dot products vectorise; NaN and infinity keep their meaning.
FAST = {"contract", "reassoc", "nsz"}


@numba.njit(cache=True, nogil=True, inline="always")
def span(start, stop):
    """range(start, stop) over unsigned integers.

    Signed ones carry Python's wrap-around check, which keeps the compiler from vectorising: with it the
    factorisation below takes twice and a CSR backup 1.7 times as long.
    """
    return range(np.uint64(start), np.uint64(stop))


@numba.njit(cache=True, nogil=True)
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
                for i in span(indptr[row], indptr[row + 1]):
                    total += data[i] * V[np.uint64(indices[i])]
                q = r[s, a] + gamma * total
                if q > best:
                    best, arg = q, a
        out[s] = best
        policy[s] = arg
        change = best - V[s]
        low, high = min(low, change), max(high, change)
    return low, high


@numba.njit(cache=True, nogil=True)
def sweep_csr(indptr, indices, data, r, gamma, policy, V, out):
    """One evaluation backup out = T^pi V of a deterministic policy; returns min and max of out - V."""
    n_states, n_actions = r.shape
    low, high = np.inf, -np.inf
    for s in range(n_states):
        row = s * n_actions + policy[s]
        total = 0.0
        for i in span(indptr[row], indptr[row + 1]):
            total += data[i] * V[np.uint64(indices[i])]
        out[s] = r[s, policy[s]] + gamma * total
        change = out[s] - V[s]
        low, high = min(low, change), max(high, change)
    return low, high


@numba.njit(cache=True, nogil=True)
def shift_rows(x, allowed, out):
    """out = logits x [N, A] minus the largest allowed one of their row; -inf where not allowed [S, A] (i mod S)."""
    n_states, n_actions = allowed.shape
    for i in range(x.shape[0]):
        s = i % n_states
        top = -np.inf
        for a in range(n_actions):
            if allowed[s, a] and x[i, a] > top:
                top = x[i, a]
        for a in range(n_actions):
            out[i, a] = x[i, a] - top if allowed[s, a] else -np.inf


@numba.njit(cache=True, nogil=True)
def normalise_rows(x):
    """Divide the rows of x [N, A] by their sums, in place."""
    for i in range(x.shape[0]):
        total = 0.0
        for a in range(x.shape[1]):
            total += x[i, a]
        for a in range(x.shape[1]):
            x[i, a] /= total


# -- small dense systems ------------------------------------------------------------------------------------
#
# A matrix I - gamma P^pi is stored by columns, M[j, i], so that every inner loop runs along memory. Batches are
# cut into ranges [lo, hi) for threads (see ``threads``).


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _assemble(PT, pi, gamma, M):
    """M = (I - gamma P^pi) by columns, for one policy [S, A] and transitions PT [S', A, S]."""
    n, n_actions = pi.shape
    w = np.empty((n_actions, n))
    for s in range(n):
        for a in range(n_actions):
            w[a, s] = gamma * pi[s, a]
    for t in range(n):
        column, p = M[t], PT[t]
        for s in range(n):
            column[s] = -w[0, s] * p[0, s]
        for a in range(1, n_actions):
            pa, wa = p[a], w[a]
            for s in range(n):
                column[s] -= wa[s] * pa[s]
        column[t] += 1.0


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _factor(M):
    """LU in place without pivoting (unit lower factor), four pivots at a time.

    Stable here: I - gamma P is strictly diagonally dominant by rows, which bounds the growth factor by 2.
    """
    n = M.shape[0]
    k = 0
    while k < n:
        end = min(k + 4, n)
        for p in range(k, end):
            cp = M[p]
            inverse = 1.0 / cp[p]
            for i in span(p + 1, n):
                cp[i] *= inverse
            for q in range(p + 1, end):
                cq = M[q]
                f = cq[p]
                for i in span(p + 1, n):
                    cq[i] -= f * cp[i]
        if end < n:
            c0, c1, c2, c3 = M[k], M[k + 1], M[k + 2], M[k + 3]
            l10, l20, l30 = c0[k + 1], c0[k + 2], c0[k + 3]
            l21, l31, l32 = c1[k + 2], c1[k + 3], c2[k + 3]
            for j in range(end, n):
                c = M[j]
                u0 = c[k]
                u1 = c[k + 1] - l10 * u0
                u2 = c[k + 2] - l20 * u0 - l21 * u1
                u3 = c[k + 3] - l30 * u0 - l31 * u1 - l32 * u2
                c[k + 1], c[k + 2], c[k + 3] = u1, u2, u3
                for i in span(end, n):
                    c[i] -= u0 * c0[i] + u1 * c1[i] + u2 * c2[i] + u3 * c3[i]
        k = end


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _solve(M, x):
    """Overwrite x with the solution of A x = b, given the factors M of A."""
    n = M.shape[0]
    for j in range(n):
        f, c = x[j], M[j]
        for i in span(j + 1, n):
            x[i] -= f * c[i]
    for j in range(n - 1, -1, -1):
        c = M[j]
        x[j] /= c[j]
        f = x[j]
        for i in span(0, j):
            x[i] -= f * c[i]


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _solve_transposed(M, x):
    """Overwrite x with the solution of A^T x = b, given the factors M of A."""
    n = M.shape[0]
    for j in range(n):
        c = M[j]
        total = 0.0
        for i in span(0, j):
            total += c[i] * x[i]
        x[j] = (x[j] - total) / c[j]
    for j in range(n - 1, -1, -1):
        c = M[j]
        total = 0.0
        for i in span(j + 1, n):
            total += c[i] * x[i]
        x[j] -= total


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def stationary_range(lo, hi, PT, r, start, pi, gamma, V, m):
    """Values V [B, S] and discounted visits m [B, S] of the policies pi [B, S, A] with lo <= b < hi."""
    n, n_actions = r.shape
    M = np.empty((n, n))
    for b in range(lo, hi):
        _assemble(PT, pi[b], gamma, M)
        _factor(M)
        for s in range(n):
            total = 0.0
            for a in range(n_actions):
                total += pi[b, s, a] * r[s, a]
            V[b, s] = total
            m[b, s] = start[s]
        _solve(M, V[b])
        _solve_transposed(M, m[b])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def factor_range(lo, hi, PT, pi, gamma, LU):
    """Factors LU [B, S, S] of I - gamma P^pi for lo <= b < hi."""
    for b in range(lo, hi):
        _assemble(PT, pi[b], gamma, LU[b])
        _factor(LU[b])


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def solve_range(lo, hi, LU, x, transposed):
    """Overwrite right-hand sides x [B, k, S] with solutions for lo <= b < hi."""
    for b in range(lo, hi):
        for k in range(x.shape[1]):
            if transposed:
                _solve_transposed(LU[b], x[b, k])
            else:
                _solve(LU[b], x[b, k])
