r"""Compiled normal and Cauchy numbers from SplitMix64.

Normal ones by the ziggurat (Marsaglia & Tsang 2000): the region under :math:`e^{-x^2/2}` is cut into 256
layers of equal area, and 99 % of the numbers cost one word and one comparison. Layer, sign and position come
from disjoint bits of the word, as Doornik (2005) asks.
"""

import math

import numba
import numpy as np

from pgtheory.mdp.sampling_kernels import GOLDEN, mix, unit

LAYERS = 256
TAIL = 3.6541528853610088  # where the lowest layer's tail begins, so that the topmost layer closes at zero
LAYER_BITS, SIGN_BIT, DROPPED = np.uint64(LAYERS - 1), np.uint64(LAYERS), np.uint64(11)


def layers() -> tuple[np.ndarray, np.ndarray]:
    """Right edges of the layers [257], from the widest to zero, and the density's height at them."""
    area = TAIL * math.exp(-(TAIL**2) / 2) + math.sqrt(math.pi / 2) * math.erfc(TAIL / math.sqrt(2))
    edges = [area / math.exp(-(TAIL**2) / 2), TAIL]
    while len(edges) < LAYERS:
        edges.append(math.sqrt(-2 * math.log(math.exp(-(edges[-1] ** 2) / 2) + area / edges[-1])))
    edge = np.array([*edges, 0.0])
    return edge, np.exp(-(edge**2) / 2)


EDGE, HEIGHT = layers()


@numba.njit(cache=True, nogil=True, inline="always")
def normal(x):
    """Advance a generator's state x; returns it and a standard normal number."""
    x += GOLDEN
    word = mix(x)
    layer = word & LAYER_BITS
    z = (word >> DROPPED) * 2.0**-53 * EDGE[layer]
    if z >= EDGE[layer + np.uint64(1)]:
        x, z = _outside(x, layer, z)
    return x, (-z if word & SIGN_BIT else z)


@numba.njit(cache=True, nogil=True)
def _outside(x, layer, z):
    """Finish a draw at z that is not under the next layer: tail, wedge, or draw again."""
    while True:
        if layer == np.uint64(0):
            return _tail(x)
        low, high = HEIGHT[layer], HEIGHT[layer + np.uint64(1)]
        x += GOLDEN
        if low + unit(x) * (high - low) < math.exp(-z * z / 2):
            return x, z
        x += GOLDEN
        word = mix(x)
        layer = word & LAYER_BITS
        z = (word >> DROPPED) * 2.0**-53 * EDGE[layer]
        if z < EDGE[layer + np.uint64(1)]:
            return x, z


@numba.njit(cache=True, nogil=True)
def _tail(x):
    """A normal number beyond TAIL (Marsaglia 1964)."""
    while True:
        x += GOLDEN
        beyond = -math.log(1.0 - unit(x)) / TAIL
        x += GOLDEN
        if -2.0 * math.log(1.0 - unit(x)) > beyond * beyond:
            return x, TAIL + beyond


@numba.njit(cache=True, nogil=True, inline="always")
def cauchy(x):
    """Advance a generator's state x; returns it and a standard Cauchy number."""
    x += GOLDEN
    return x, math.tan(math.pi * (unit(x) - 0.5 + 2.0**-54))
