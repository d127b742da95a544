"""Compiled steps of many combination locks at once."""

from math import exp

import numba
import numpy as np

DEAD = 2
ANTI_SHAPED = 0.1


@numba.njit(cache=True, nogil=True)
def advance(states, actions, secret, sharpness, last, pays_late, u, codes, after, rewards):
    """One step of n episodes, all at the same time.

    Fills the latent actions ``codes``, the states ``after`` the step and the ``rewards`` [n], from states [n],
    actions [n, k], this step's ``secret`` [2] and uniform numbers u [n, 2]: one for the latent action, one for the
    coin that each outcome tosses. ``sharpness`` is the inverse temperature; with ``pays_late`` the consolation comes
    at the ``last`` step, to whoever is dead or dies there, otherwise to whoever dies, when it dies.
    """
    n, k = actions.shape
    weights = np.empty(k)
    for i in range(n):
        top = actions[i, 0]
        for j in range(1, k):
            top = max(top, actions[i, j])
        total = 0.0
        for j in range(k):
            weights[j] = exp((actions[i, j] - top) * sharpness)
            total += weights[j]
        threshold = u[i, 0] * total
        code = 0
        running = weights[0]
        while code < k - 1 and running <= threshold:
            code += 1
            running += weights[code]
        state, heads = states[i], u[i, 1] < 0.5
        if state != DEAD and code == secret[state]:
            after[i] = 1 if heads else 0
            rewards[i] = 1.0 if last else 0.0
        else:
            due = last if pays_late else state != DEAD
            after[i] = DEAD
            rewards[i] = ANTI_SHAPED if due and heads else 0.0
        codes[i] = code


@numba.njit(cache=True, nogil=True)
def write_hot(states, step, amplitude, noise, out):
    """out [n, size]: one-hot of the state, one-hot of the step, noise [n, H + 3] on the first entries, zeros after."""
    n, noisy = noise.shape
    for i in range(n):
        for j in range(noisy):
            out[i, j] = amplitude * noise[i, j]
        out[i, noisy:] = 0.0
        out[i, states[i]] += 1.0
        out[i, 3 + step] += 1.0
