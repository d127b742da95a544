"""Compiled trajectories of a finite MDP, and the sums over them that estimators need.

One SplitMix64 generator a trajectory, started from a key: results depend neither on threads nor on what
else is sampled. Arrays of a batch are [seeds, n, H]; ``lo`` and ``hi`` bound the seeds of one thread.
"""

import numba
import numpy as np

from pgtheory.mdp.alias import draw
from pgtheory.mdp.kernels import span

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
STRIDE = np.uint64(0xD1342543DE82EF95)  # between the keys of a seed's trajectories
LANES = 8  # trajectories advanced side by side


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
    keep,
    after,
    gain,
    terminal,
    s_out,
    a_out,
    r_out,
    lengths,
):
    """Trajectories of the policies pi [seeds, S, A]; fills states, actions, rewards and lengths [seeds, n].

    Entry i of a row's alias table leads to ``after[i, 0]`` and pays ``gain[i, 0]`` with probability ``keep[i]``,
    else to ``after[i, 1]`` for ``gain[i, 1]``: no branch, which the processor would guess wrong.

    A trajectory is a chain of look-ups that wait for each other, so a few are advanced side by side: the
    processor overlaps their waits.
    """
    n, H = s_out.shape[1], s_out.shape[2]
    n_states, n_actions = pi.shape[1], pi.shape[2]
    last = n_actions - 1
    cumulative = np.empty((hi - lo, n_states, n_actions))
    for b in range(hi - lo):
        for s in range(n_states):
            total = 0.0
            for a in range(n_actions):
                total += pi[lo + b, s, a]
                cumulative[b, s, a] = total
    word, state = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    seed, trajectory = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    ends = np.empty(LANES, np.int64)
    count = (hi - lo) * n
    for first in range(0, count, LANES):
        lanes = min(LANES, count - first)
        for lane in range(lanes):
            b, i = (first + lane) // n, (first + lane) % n
            seed[lane], trajectory[lane] = b, i
            word[lane] = mix(keys[lo + b] + np.uint64(i) * STRIDE) + GOLDEN
            state[lane] = draw(unit(word[lane]), start_keep, start_other, np.uint64(0), np.uint64(n_states))
            ends[lane] = 0 if terminal[state[lane]] else H
        for time in range(H):
            t = np.uint64(time)
            for lane in range(lanes):
                if time >= ends[lane]:
                    continue
                b, s = seed[lane], state[lane]
                u = unit(word[lane] + GOLDEN) * cumulative[b, s, last]
                word[lane] += GOLDEN + GOLDEN
                a = np.uint64(0)
                for k in range(last):
                    a += np.uint64(u >= cumulative[b, s, k])
                row = s * np.uint64(n_actions) + a
                low = np.uint64(indptr[row])
                x = unit(word[lane]) * np.float64(np.uint64(indptr[row + np.uint64(1)]) - low)
                entry = low + np.uint64(x)
                alias = np.uint64(x - np.uint64(x) >= keep[entry])
                at, i = b + np.uint64(lo), trajectory[lane]
                s_out[at, i, t], a_out[at, i, t], r_out[at, i, t] = s, a, gain[entry, alias]
                state[lane] = np.uint64(after[entry, alias])
                if terminal[state[lane]]:
                    ends[lane] = time + 1
        for lane in range(lanes):
            at, i = np.uint64(lo) + seed[lane], trajectory[lane]
            lengths[at, i] = ends[lane]
            s_out[at, i, ends[lane] :], a_out[at, i, ends[lane] :], r_out[at, i, ends[lane] :] = 0, 0, 0.0


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
