"""Alias tables (Walker 1977, Vose 1991): draws from a categorical distribution in constant time."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def build(p, keep, other):
    """Fill the table of one distribution p [k]: outcome i is kept with probability keep[i], else it is other[i]."""
    k = len(p)
    small, large = np.empty(k, np.int64), np.empty(k, np.int64)
    n_small = n_large = 0
    total = p.sum()
    for i in range(k):
        keep[i] = p[i] * k / total
        other[i] = i
        if keep[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        s, g = small[n_small], large[n_large - 1]
        other[s] = g
        keep[g] -= 1.0 - keep[s]
        if keep[g] < 1.0:
            n_large -= 1
            small[n_small] = g
            n_small += 1
    # what is left differs from one by rounding only
    for i in range(n_small):
        keep[small[i]] = 1.0
    for i in range(n_large):
        keep[large[i]] = 1.0


@numba.njit(cache=True, nogil=True)
def build_rows(indptr, data, keep, other):
    """Tables of all rows of a CSR matrix of probabilities; empty rows have none."""
    for row in range(len(indptr) - 1):
        lo, hi = indptr[row], indptr[row + 1]
        if hi > lo:
            build(data[lo:hi], keep[lo:hi], other[lo:hi])


@numba.njit(cache=True, nogil=True, inline="always")
def draw(u, keep, other, lo, size):
    """An outcome 0..size-1 from one uniform u, of the table that starts at lo.

    Without a branch: the processor would guess it wrong half the time.
    """
    x = u * size
    i = np.uint64(x)
    kept = np.uint64(x - i < keep[lo + i])
    return kept * i + (np.uint64(1) - kept) * np.uint64(other[lo + i])
