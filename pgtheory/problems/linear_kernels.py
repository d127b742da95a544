r"""Compiled trajectories of linear systems under location policies, and the sums over them that estimators need.

A policy is :math:`a=K\phi(s)+L\varepsilon` with independent noise :math:`\varepsilon_j` of density
:math:`e^{\ell}`, Gaussian or Cauchy. With :math:`z=L^{-1}(a-K\phi)` and :math:`\psi=-\ell'`,

.. math:: \nabla_K\log\pi=L^{-\top}\psi(z)\phi^\top,\qquad \partial_\rho\log\pi=\sum_j(\psi(z_j)z_j-1),

the latter where :math:`L=e^\rho I`. Second derivatives come from :math:`\dot z=-L^{-1}V\phi-z\dot\rho`.
One generator a trajectory, started from a key: results depend neither on threads nor on what else is
sampled. Arrays of a batch are [seeds, n, H, ...]; ``lo`` and ``hi`` bound the seeds of one thread.
"""

import math

import numba
import numpy as np

from pgtheory.mdp.kernels import span
from pgtheory.mdp.sampling_kernels import mix
from pgtheory.problems.ziggurat import cauchy, normal

STRIDE = np.uint64(0xD1342543DE82EF95)  # between the keys of a seed's trajectories


@numba.njit(cache=True, nogil=True, inline="always")
def _add_product(M, x, out):
    """out += M x."""
    for i in span(0, M.shape[0]):
        total = 0.0
        for j in span(0, M.shape[1]):
            total += M[i, j] * x[j]
        out[i] += total


@numba.njit(cache=True, nogil=True, inline="always")
def _quadratic(M, x):
    """x^T M x."""
    total = 0.0
    for i in span(0, M.shape[0]):
        row = 0.0
        for j in span(0, M.shape[1]):
            row += M[i, j] * x[j]
        total += row * x[i]
    return total


@numba.njit(cache=True, nogil=True)
def sample_range(
    lo, hi, keys, K, L, heavy, bound, A, B, Q, R, noise, mean, spread, saturation, s_out, f_out, a_out, r_out
):
    """Trajectories of gains K [seeds, k, d] with noise factors L [seeds, k, k].

    Fills states, what the policy saw of them, actions and rewards. ``noise`` and ``spread`` are factors [d, m]
    of the covariances of process noise and start. Seeds whose K or L is not finite get NaN.
    """
    n, H = r_out.shape[1], r_out.shape[2]
    d, k = B.shape
    s, moved, f, a, e = np.empty(d), np.empty(d), np.empty(d), np.empty(k), np.empty(max(d, k))
    for b in range(lo, hi):
        if not (np.isfinite(K[b]).all() and np.isfinite(L[b]).all()):
            s_out[b], f_out[b], a_out[b], r_out[b] = np.nan, np.nan, np.nan, np.nan
            continue
        for i in range(n):
            x = mix(keys[b] + np.uint64(i) * STRIDE)
            for j in span(0, spread.shape[1]):
                x, e[j] = normal(x)
            s[:] = mean
            _add_product(spread, e, s)
            for t in span(0, H):
                shrink = 1.0
                if bound < np.inf:
                    size = 0.0
                    for j in span(0, d):
                        size += s[j] * s[j]
                    shrink = min(1.0, bound / math.sqrt(size)) if size > 0.0 else 1.0
                for j in span(0, d):
                    f[j] = shrink * s[j]
                    s_out[b, i, t, j], f_out[b, i, t, j] = s[j], f[j]
                for j in span(0, k):
                    x, e[j] = cauchy(x) if heavy else normal(x)
                    a[j] = 0.0
                _add_product(K[b], f, a)
                _add_product(L[b], e, a)
                for j in span(0, k):
                    a_out[b, i, t, j] = a[j]
                cost = _quadratic(Q, s) + _quadratic(R, a)
                r_out[b, i, t] = -cost if saturation == np.inf else saturation**2 / (saturation**2 + cost)
                for j in span(0, noise.shape[1]):
                    x, e[j] = normal(x)
                moved[:] = 0.0
                _add_product(A, s, moved)
                _add_product(B, a, moved)
                _add_product(noise, e, moved)
                s[:] = moved


@numba.njit(cache=True, nogil=True, inline="always")
def _standardise(K, W, f, a, e, z):
    """z = W (a - K f)."""
    for j in span(0, a.shape[0]):
        total = a[j]
        for m in span(0, f.shape[0]):
            total -= K[j, m] * f[m]
        e[j] = total
        z[j] = 0.0
    _add_product(W, e, z)


@numba.njit(cache=True, nogil=True, inline="always")
def _psi(z, heavy):
    """Minus the derivative of the noise's log-density."""
    return 2.0 * z / (1.0 + z * z) if heavy else z


@numba.njit(cache=True, nogil=True, inline="always")
def _dpsi(z, heavy):
    """The derivative of psi."""
    return 2.0 * (1.0 - z * z) / (1.0 + z * z) ** 2 if heavy else 1.0


@numba.njit(cache=True, nogil=True, inline="always")
def _add_gain(W, y, f, weight, out):
    """out += weight W^T y f^T, the matrix out [k d, ...] flattened by rows."""
    for j in span(0, W.shape[0]):
        total = 0.0
        for m in span(0, W.shape[0]):
            total += W[m, j] * y[m]
        total *= weight
        for m in span(0, f.shape[0]):
            out[j * np.uint64(f.shape[0]) + m] += total * f[m]


@numba.njit(cache=True, nogil=True)
def score_sum_range(lo, hi, K, W, heavy, learned, features, actions, weights, out):
    """out [seeds, dim]: mean over trajectories of the sum over t of weights [seeds, n, H] times scores."""
    n, H, k = actions.shape[1:]
    d = features.shape[3]
    e, z, y = np.empty(k), np.empty(k), np.empty(k)
    for b in range(lo, hi):
        out[b] = 0.0
        for i in range(n):
            for t in span(0, H):
                f = features[b, i, t]
                _standardise(K[b], W[b], f, actions[b, i, t], e, z)
                stretch = 0.0
                for j in span(0, k):
                    y[j] = _psi(z[j], heavy)
                    stretch += y[j] * z[j] - 1.0
                _add_gain(W[b], y, f, weights[b, i, t], out[b])
                if learned:
                    out[b, k * d] += weights[b, i, t] * stretch
        out[b] /= n


@numba.njit(cache=True, nogil=True)
def curvature_range(lo, hi, K, W, heavy, learned, features, actions, psi, v, out):
    """out [seeds, dim]: mean over trajectories of g (u^T v) + sum over t of Psi_t times Hess log pi v."""
    n, H, k = actions.shape[1:]
    d = features.shape[3]
    e, z, y, dz = np.empty(k), np.empty(k), np.empty(k), np.empty(k)
    g, bent = np.empty(out.shape[1]), np.empty(out.shape[1])
    for b in range(lo, hi):
        V = v[b, : k * d].copy().reshape(k, d)
        dlog = v[b, k * d] if learned else 0.0
        out[b] = 0.0
        for i in range(n):
            g[:], bent[:], uv = 0.0, 0.0, 0.0
            for t in span(0, H):
                f, weight = features[b, i, t], psi[b, i, t]
                _standardise(K[b], W[b], f, actions[b, i, t], e, z)
                e[:], dz[:] = 0.0, 0.0
                _add_product(V, f, e)
                _add_product(W[b], e, dz)
                stretch, dstretch = 0.0, 0.0
                for j in span(0, k):
                    y[j] = _psi(z[j], heavy)
                    slope = _dpsi(z[j], heavy)
                    stretch += y[j] * z[j] - 1.0
                    uv += y[j] * dz[j]
                    dz[j] = -dz[j] - z[j] * dlog
                    dstretch += (slope * z[j] + y[j]) * dz[j]
                    e[j] = slope * dz[j] - y[j] * dlog
                uv += stretch * dlog
                _add_gain(W[b], y, f, weight, g)
                _add_gain(W[b], e, f, weight, bent)
                if learned:
                    g[k * d] += weight * stretch
                    bent[k * d] += weight * dstretch
            for j in span(0, out.shape[1]):
                out[b, j] += g[j] * uv + bent[j]
        out[b] /= n


@numba.njit(cache=True, nogil=True)
def running_log_ratio_range(lo, hi, K, W, K_old, W_old, heavy, features, actions, out):
    """out [seeds, n, H]: sum over h <= t of log pi(a_h | s_h) under (K, W) minus the same under (K_old, W_old)."""
    n, H, k = actions.shape[1:]
    e, z, z_old = np.empty(k), np.empty(k), np.empty(k)
    for b in range(lo, hi):
        scale = 0.0
        for j in span(0, k):
            scale += math.log(W[b, j, j] / W_old[b, j, j])
        for i in range(n):
            total = 0.0
            for t in span(0, H):
                _standardise(K[b], W[b], features[b, i, t], actions[b, i, t], e, z)
                _standardise(K_old[b], W_old[b], features[b, i, t], actions[b, i, t], e, z_old)
                total += scale
                for j in span(0, k):
                    if heavy:
                        total += math.log1p(z_old[j] ** 2) - math.log1p(z[j] ** 2)
                    else:
                        total += (z_old[j] - z[j]) * (z_old[j] + z[j]) / 2
                out[b, i, t] = total
