"""Environments of EnvPool (https://github.com/sail-sg/envpool): simulators and threads in C++."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pgtheory.deep.slab import Slab
from pgtheory.deep.spaces import observation_writer, to_environment


class Pool:
    """A pool whose episodes are restarted at once.

    EnvPool restarts an episode at the step after its end, whose action it ignores, unless it is asked to reset
    that environment before. A step at which an environment both terminates and reaches its time limit counts as
    what EnvPool says it is; some of its tasks call that truncated alone, Gymnasium calls it both.
    """

    def __init__(self, open_seeded: Callable[[list[int]], Any], slab: Slab) -> None:
        self._open, self._slab = open_seeded, slab
        self._pool: Any = None

    def reset(self) -> None:
        """Start an episode in every environment; from the slab's seeds in a new pool, for it takes none later."""
        if self._slab.seeds[0] >= 0:
            self.close()
            self._pool = self._open(self._slab.seeds.tolist())
            self._write = observation_writer(self._pool.observation_space)
            self._taken = to_environment(self._pool.action_space)
        self._see(self._slab.observations, *self._pool.reset())

    def step(self) -> None:
        """Take the slab's actions and write what comes of them."""
        slab = self._slab
        observations, rewards, terminated, truncated, info = self._pool.step(self._taken(slab.actions))
        which = info["env_id"]
        slab.rewards[which], slab.terminated[which], slab.truncated[which] = rewards, terminated, truncated
        self._see(slab.final_observations, observations, info)
        slab.observations[:] = slab.final_observations
        over = np.flatnonzero(slab.terminated | slab.truncated)
        if over.size:
            self._see(slab.observations, *self._pool.reset(over.astype(np.int32)))

    def close(self) -> None:
        """End the pool's threads."""
        if self._pool is not None:
            self._pool.close()

    def _see(self, rows: np.ndarray, observations: np.ndarray, info: dict[str, Any]) -> None:
        for i, observation in zip(info["env_id"], observations):
            self._write(rows[i], observation)


def open_pool(name: object, threads: int, seeds: list[int]) -> Any:
    """EnvPool's environments, each with a seed of its own.

    Raises
    ------
    ImportError
        If EnvPool is not installed.
    ValueError
        If EnvPool has no environment of that name, or ``name`` is none.
    """
    try:
        import envpool
    except ImportError as error:
        raise ImportError("backend='envpool' needs EnvPool: pip install envpool") from error
    if name not in envpool.list_all_envs():
        raise ValueError(
            f"environment must be one of envpool.list_all_envs() for backend='envpool', got {name!r}"
        )
    return envpool.make(
        name, env_type="gymnasium", num_envs=len(seeds), seed=seeds, num_threads=min(threads, len(seeds))
    )
