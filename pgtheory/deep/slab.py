"""One block of memory that holds a step of many environments, so that processes can share it."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

ALIGNMENT = 64  # a cache line


@dataclass(frozen=True)
class Slab:
    """What n environments are told and what came of it; a row for each environment."""

    seeds: np.ndarray  # [n] int64: for the next reset; negative to go on with the stream there is
    actions: np.ndarray  # [n] int64, or [n, size] float64
    observations: np.ndarray  # [n, d] float32: what the policy sees next, after an automatic reset
    final_observations: np.ndarray  # [n, d] float32: the true successor states
    rewards: np.ndarray  # [n] float64
    terminated: np.ndarray  # [n] bool
    truncated: np.ndarray  # [n] bool

    @classmethod
    def over(cls, buffer: Any, layout: "Layout") -> "Slab":
        """Arrays that lie in a writable buffer of at least ``layout.nbytes``."""
        arrays: list[np.ndarray] = []
        offset = 0
        for shape, dtype in layout.parts:
            arrays.append(np.frombuffer(buffer, dtype, int(np.prod(shape)), offset).reshape(shape))
            offset += _padded(arrays[-1].nbytes)
        return cls(*arrays)

    def rows(self, lo: int, hi: int) -> "Slab":
        """The environments lo..hi-1, in the same memory."""
        return Slab(*(getattr(self, field.name)[lo:hi] for field in fields(self)))


@dataclass(frozen=True)
class Layout:
    """How many environments, numbers an observation, and which shape of an action (() for integers)."""

    n: int
    observation_size: int
    action: tuple[int, ...]

    @property
    def parts(self) -> list[tuple[tuple[int, ...], type]]:
        """Shape and dtype of each array of a :class:`Slab`."""
        n, seen, flag = self.n, ((self.n, self.observation_size), np.float32), ((self.n,), np.bool_)
        taken = ((n, *self.action), np.float64 if self.action else np.int64)
        return [((n,), np.int64), taken, seen, seen, ((n,), np.float64), flag, flag]

    @property
    def nbytes(self) -> int:
        """Size of the memory."""
        return sum(_padded(int(np.prod(shape)) * np.dtype(dtype).itemsize) for shape, dtype in self.parts)


def _padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
