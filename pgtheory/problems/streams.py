"""Random streams, one a seed: reproducible whatever runs beside them, in whatever order, on however many threads."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from pgtheory.mdp import validate

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014): a bijection of 64-bit words that looks random."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


class Streams:
    """Counter-based random numbers for a batch of seeds.

    Every request advances a counter; what seed ``s`` gets at request ``k`` is a hash of (s, k) alone. So a
    run of seed 7 is the same bits alone or among a hundred others.

    Parameters
    ----------
    seeds : int or iterable of int
        Distinct non-negative seeds, or ``n`` for ``range(n)``.
    """

    def __init__(self, seeds: int | Iterable[int]) -> None:
        if isinstance(seeds, int | np.integer):
            given = np.arange(seeds)
        else:
            given = np.asarray(validate.sequence("seeds", seeds, "integers"))
        if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu" or (given < 0).any():
            raise ValueError(f"seeds must be non-negative integers, at least one, got {seeds!r}")
        if len(np.unique(given)) < len(given):
            raise ValueError(f"seeds must be distinct, got {seeds!r}")
        self.seeds = given
        self._base = mix(mix(given.astype(np.uint64) + GOLDEN))
        self._counter = 0

    def __len__(self) -> int:
        return len(self.seeds)

    def keys(self) -> np.ndarray:
        """Fresh 64-bit keys [seeds], to start compiled generators from."""
        self._counter += 1
        with np.errstate(over="ignore"):
            return mix(self._base + np.uint64(self._counter) * GOLDEN)

    def uniform(self) -> np.ndarray:
        """Fresh uniform numbers in [0, 1) [seeds]."""
        return (self.keys() >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def split(self, chosen: np.ndarray) -> "Streams | None":
        """Streams of their own for the chosen seeds (bool [seeds]); None if there are none."""
        keys = self.keys()
        if not chosen.any():
            return None
        child = Streams(self.seeds[chosen])
        child._base = keys[chosen]
        return child

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs to go on from here."""
        return {"counter": self._counter}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a ``state()`` of streams with the same seeds."""
        self._counter = int(state["counter"])
