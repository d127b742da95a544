"""Compiled trajectories of a finite MDP, and the sums over them that estimators need.

One SplitMix64 generator a trajectory, started from a key: results depend neither on threads nor on what
else is sampled. Arrays of a batch are [seeds, n, H]; ``lo`` and ``hi`` bound the seeds of one thread.
"""

import numba
import numpy as np

from pgtheory.mdp.alias import draw
from pgtheory.mdp.kernels import span

FAST = {"contract", "reassoc", "nsz"}
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(cache=True, nogil=True, inline="always")
def mix(x):
    """SplitMix64's finaliser."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True, nogil=True, inline="always")
def unit(x):
    """A word as a uniform number in [0, 1) with 53 bits."""
    return (mix(x) >> np.uint64(11)) * 2.0**-53


@numba.njit(cache=True, nogil=True)
def sample_range(
    lo,
    hi,
    keys,
    pi,
    start_keep,
    start_other,
    indptr,
    successor,
    gain,
    keep,
    other,
    terminal,
    s_out,
    a_out,
    r_out,
    lengths,
):
    """Trajectories of the policies pi [seeds, S, A]; fills states, actions, rewards and lengths [seeds, n]."""
    n, H = s_out.shape[1], s_out.shape[2]
    n_states, n_actions = pi.shape[1], pi.shape[2]
    last = n_actions - 1
    cumulative = np.empty((n_states, n_actions))
    for b in range(lo, hi):
        for s in range(n_states):
            total = 0.0
            for a in range(n_actions):
                total += pi[b, s, a]
                cumulative[s, a] = total
        for i in range(n):
            x = mix(keys[b] + np.uint64(i) * np.uint64(0xD1342543DE82EF95))
            x += GOLDEN
            s = draw(unit(x), start_keep, start_other, np.uint64(0), np.uint64(n_states))
            t = np.uint64(0)
            while t < np.uint64(H) and not terminal[s]:
                x += GOLDEN
                u = unit(x) * cumulative[s, last]
                a = np.uint64(0)
                for k in range(last):
                    a += np.uint64(u >= cumulative[s, k])
                row = s * np.uint64(n_actions) + a
                first = np.uint64(indptr[row])
                x += GOLDEN
                j = first + draw(unit(x), keep, other, first, np.uint64(indptr[row + np.uint64(1)]) - first)
                s_out[b, i, t], a_out[b, i, t], r_out[b, i, t] = s, a, gain[j]
                s = np.uint64(successor[j])
                t += np.uint64(1)
            lengths[b, i] = t


@numba.njit(cache=True, nogil=True)
def reward_table_range(lo, hi, s, a, r, lengths, gamma, out):
    """out [seeds, S, A]: mean over trajectories of the sum over t of Psi_t at (s_t, a_t)."""
    n, H = s.shape[1], s.shape[2]
    power = np.empty(H)
    power[0] = 1.0
    for t in range(1, H):
        power[t] = power[t - 1] * gamma
    for b in range(lo, hi):
        table = out[b]
        table[:] = 0.0
        for i in range(n):
            psi = 0.0
            for back in span(0, lengths[b, i]):
                t = np.uint64(lengths[b, i]) - np.uint64(1) - back
                psi += power[t] * r[b, i, t]
                table[np.uint64(s[b, i, t]), np.uint64(a[b, i, t])] += psi
        table /= n


@numba.njit(cache=True, nogil=True)
def curvature_tables_range(lo, hi, s, a, r, lengths, gamma, ell, with_score, plain):
    """Both tables of a Hessian-vector product: Psi_t times u^T v of its trajectory, and Psi_t; means."""
    n, H = s.shape[1], s.shape[2]
    power = np.empty(H)
    power[0] = 1.0
    for t in range(1, H):
        power[t] = power[t - 1] * gamma
    for b in range(lo, hi):
        first, second, along = with_score[b], plain[b], ell[b]
        first[:] = 0.0
        second[:] = 0.0
        for i in range(n):
            uv = 0.0
            for t in span(0, lengths[b, i]):
                uv += along[np.uint64(s[b, i, t]), np.uint64(a[b, i, t])]
            psi = 0.0
            for back in span(0, lengths[b, i]):
                t = np.uint64(lengths[b, i]) - np.uint64(1) - back
                psi += power[t] * r[b, i, t]
                state, action = np.uint64(s[b, i, t]), np.uint64(a[b, i, t])
                first[state, action] += psi * uv
                second[state, action] += psi
        first /= n
        second /= n


@numba.njit(cache=True, nogil=True)
def weight_table_range(lo, hi, s, a, lengths, weights, out):
    """out [seeds, S, A]: mean over trajectories of the sum over t of weights [seeds, n, H] at (s_t, a_t)."""
    n = s.shape[1]
    for b in range(lo, hi):
        table = out[b]
        table[:] = 0.0
        for i in range(n):
            for t in span(0, lengths[b, i]):
                table[np.uint64(s[b, i, t]), np.uint64(a[b, i, t])] += weights[b, i, t]
        table /= n


@numba.njit(cache=True, nogil=True)
def running_sum_range(lo, hi, s, a, lengths, table, out):
    """out [seeds, n, H]: sum over k <= t of table [seeds, S, A] at (s_k, a_k); constant after the end."""
    n, H = s.shape[1], s.shape[2]
    for b in range(lo, hi):
        for i in range(n):
            total = 0.0
            for t in range(H):
                if t < lengths[b, i]:
                    total += table[b, np.uint64(s[b, i, t]), np.uint64(a[b, i, t])]
                out[b, i, t] = total
