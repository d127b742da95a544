"""What a lock lets an agent see of its latent state: the state itself, a noisy rotation, or a picture's features."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from pgtheory.mdp import validate

STATES = 3


class Encoder(Protocol):
    """Latent states at a step → observations."""

    @property
    def size(self) -> int:
        """Length of an observation."""

    @property
    def name(self) -> str:
        """What tells two encoders apart: the same name, the same law of observations."""

    def encode(self, step: int, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Observations [n, size] of states [n] in 0..2 at step 0..H."""


@dataclass(frozen=True)
class Latent:
    """The state itself, one-hot; for critics that are linear in it."""

    @property
    def size(self) -> int:
        """One entry for each state."""
        return STATES

    @property
    def name(self) -> str:
        """Its name in ``ContinuousLock``."""
        return "latent"

    def encode(self, step: int, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows of the identity [n, 3]."""
        return np.eye(STATES)[states]


@dataclass(frozen=True)
class Hadamard:
    r"""One-hot state and one-hot step with noise, rotated (the continuous lock of arXiv:2311.08384).

    :math:`x=M(e_s\oplus e_h+\varepsilon)` with *M* the ±1 Hadamard matrix of Sylvester, not normalised,
    :math:`\varepsilon\sim\mathcal N(0,\sigma^2)` on the first *H* + 3 of the *H* + 4 entries, zeros up to a power of 2.

    Parameters
    ----------
    horizon : int
        *H*; steps 0..H can be seen.
    noise : float
        :math:`\sigma`.
    """

    horizon: int
    noise: float = 0.1

    def __post_init__(self) -> None:
        validate.positive_integer("horizon", self.horizon)
        validate.non_negative("noise", self.noise)

    @property
    def size(self) -> int:
        """The least power of 2 that holds *H* + 4 entries."""
        return 1 << (self.horizon + STATES).bit_length()

    @property
    def name(self) -> str:
        """Its name in ``ContinuousLock``, and the noise."""
        return f"hadamard(noise={self.noise:g})"

    @cached_property
    def rotation(self) -> np.ndarray:
        """*M* [size, size]; symmetric, :math:`MM^T` = size · identity."""
        matrix = np.ones((1, 1))
        while len(matrix) < self.size:
            matrix = np.block([[matrix, matrix], [matrix, -matrix]])
        return matrix

    def encode(self, step: int, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Fresh observations [n, size]."""
        from pgtheory.hybrid.lock_kernels import write_hot

        noise = rng.standard_normal((len(states), self.horizon + STATES))
        hot = np.empty((len(states), self.size))
        write_hot(states, step, self.noise, noise, hot)
        return hot @ self.rotation


class ClassFeatures:
    """A random picture of class 3h + s, as features of unit length.

    The image version of the lock with whatever features one has; the paper's are CLIP's of CIFAR-100.

    Parameters
    ----------
    features : array [pictures, size]
        Normalised here to unit length.
    classes : int array [pictures]
    horizon : int
        Each of the 3 (H + 1) classes needs a picture.

    Raises
    ------
    ValueError, TypeError
        If the arrays do not fit each other, a class has no picture, or a picture no features.
    """

    def __init__(self, features: Any, classes: Any, horizon: int) -> None:
        rows = validate.real_array("features", features, (None, None), "[pictures, size]")
        needed = STATES * (validate.positive_integer("horizon", horizon) + 1)
        highest = int(validate.numbers("classes", classes).max(initial=0))
        labels = validate.indices("classes", classes, (len(rows),), "[pictures]", 0, max(highest, needed))
        lengths = np.linalg.norm(rows, axis=1)
        if (lengths == 0).any():
            raise ValueError(f"features must not be zero, got features[{int(lengths.argmin())}] = 0")
        order = np.argsort(labels, kind="stable")
        self._counts = np.bincount(labels, minlength=needed)
        if (self._counts[:needed] == 0).any():
            missing = int(np.flatnonzero(self._counts[:needed] == 0)[0])
            raise ValueError(
                f"classes must name a picture for each of 3 (horizon + 1) = {needed} classes, got none of class "
                f"{missing}: a shorter horizon needs fewer"
            )
        self._first = np.concatenate([[0], np.cumsum(self._counts)])
        self._rows = (rows / lengths[:, None])[order]
        self.size = rows.shape[1]
        digest = hashlib.sha256(self._rows.tobytes() + self._counts.tobytes()).hexdigest()[:12]
        self.name = f"pictures({digest})"

    def encode(self, step: int, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Features [n, size] of pictures drawn uniformly from the class of each state."""
        labels = STATES * step + states
        return self._rows[self._first[labels] + rng.integers(self._counts[labels])]
