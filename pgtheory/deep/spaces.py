"""What a policy sees and does: spaces of an environment as rows of numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

Writer = Callable[[np.ndarray, Any], None]


@dataclass(frozen=True, eq=False)
class ActionSpace:
    """The actions of an environment: integers 0..size-1, or vectors of length size between bounds.

    Attributes
    ----------
    discrete : bool
        Integers if so.
    size : int
        How many actions there are, or how many numbers make one.
    low, high : array [size] or None
        Bounds of a vector's entries, possibly infinite; None for integers.
    """

    discrete: bool
    size: int
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"{'Discrete' if self.discrete else 'Box'}({self.size})"

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of one action."""
        return () if self.discrete else (self.size,)


def action_space(space: spaces.Space) -> ActionSpace:
    """The actions of a Gymnasium space, flattened.

    Raises
    ------
    ValueError
        For anything but Discrete and Box with a floating dtype.
    """
    if isinstance(space, spaces.Discrete):
        return ActionSpace(True, int(space.n))
    if isinstance(space, spaces.Box) and space.dtype is not None and space.dtype.kind == "f":
        low, high = space.low.ravel().copy(), space.high.ravel().copy()
        low.flags.writeable = high.flags.writeable = False
        return ActionSpace(False, low.size, low, high)
    raise ValueError(
        f"the environment's action space must be Discrete or a Box of floating dtype, got {space}; "
        "a wrapper such as gymnasium.wrappers.TransformAction can make it one"
    )


def to_environment(space: spaces.Space) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the actions of a slab, [n] or [n, size], to what the environments take, one a row.

    The result is a copy: an environment may keep its action.
    """
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return lambda actions: actions + start
    dtype, shape = space.dtype, space.shape
    assert shape is not None
    return lambda actions: actions.astype(dtype).reshape(-1, *shape)


def observation_size(space: spaces.Space) -> int:
    """How many numbers one observation is.

    Raises
    ------
    ValueError
        For anything but Box (of any shape and real dtype) and Discrete.
    """
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.Box):
        return int(np.prod(space.shape))
    raise ValueError(
        f"the environment's observation space must be Box or Discrete, got {space}; "
        "gymnasium.wrappers.FlattenObservation makes a Box of a Dict or Tuple"
    )


def observation_writer(space: spaces.Space) -> Writer:
    """A function that writes an observation into a float32 row: flattened, or one-hot if it is Discrete.

    The function raises ValueError for an observation that does not belong to the space.
    """
    size = observation_size(space)

    def flat(row: np.ndarray, observation: Any) -> None:
        row[:] = np.asarray(observation).reshape(size)  # without it one number would fill the row

    if not isinstance(space, spaces.Discrete):
        return flat
    start = int(space.start)

    def one_hot(row: np.ndarray, observation: Any) -> None:
        k = int(observation) - start
        if not 0 <= k < size:
            raise ValueError(f"observation {observation} is not in {space}")
        row[:] = 0.0
        row[k] = 1.0

    return one_hot
