"""Many environments stepped together, as fast as the machine allows and reproducible from one seed."""

import contextlib
from functools import partial
from typing import Any

import numpy as np

from pgtheory.deep import backends
from pgtheory.deep.carts import Carts, has_vectorised
from pgtheory.deep.pool import Pool, open_pool
from pgtheory.deep.slab import Layout, Slab
from pgtheory.deep.spaces import ActionSpace, action_space, observation_size
from pgtheory.deep.stepping import BrokenEnvironment, Maker, OneByOne, Recipe, environment_seeds
from pgtheory.deep.transition import Backend, Transition
from pgtheory.deep.workers import Workers
from pgtheory.mdp import validate

__all__ = ["BACKENDS", "BrokenEnvironment", "Environments", "Transition", "open_environments"]

BACKENDS = ("auto", "vector", "local", "processes", "envpool")


class Environments:
    """Open environments; :func:`open_environments` makes them. A context manager that closes them.

    Attributes
    ----------
    n, observation_size : int
    action : ActionSpace
    name, backend : str
        The environment's, and how it is stepped.
    """

    def __init__(
        self, name: str, backend: str, stepper: Backend, slab: Slab, action: ActionSpace, seed: int
    ) -> None:
        self.name, self.backend, self.action = name, backend, action
        self.n, self.observation_size = slab.observations.shape
        self._stepper: Backend | None = stepper
        self._slab = slab
        self._seed: int | None = seed
        self._started, self._steps = False, 0
        self._transition = Transition(
            slab.observations, slab.rewards, slab.terminated, slab.truncated, slab.final_observations
        )

    def __repr__(self) -> str:
        return f"Environments({self.name!r}, {self.n}, backend={self.backend!r})"

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start an episode in every environment: observations [n, d], float32.

        The first call starts them from the seed they were opened with, later ones go on with the same random
        streams; with a ``seed`` it is as if they had just been opened with that. The next call of ``reset`` or
        ``step`` overwrites the array.

        Raises
        ------
        BrokenEnvironment
            If an environment fails, or an observation is not finite; nothing can be stepped afterwards.
        """
        if seed is not None:
            self._seed = validate.positive_integer("seed", seed, 0)
        self._slab.seeds[:] = -1 if self._seed is None else environment_seeds(self._seed, self.n)
        self._do("reset")
        self._seed, self._started = None, True
        self._all_finite("observation", self._slab.observations)
        return self._slab.observations

    def step(self, actions: np.ndarray) -> Transition:
        """Take one action in each environment; where that ends an episode, the next one starts at once.

        Parameters
        ----------
        actions : array [n] of integers 0..size-1, or [n, size] of real numbers
            The latter are clipped to the bounds; the array itself is left alone.

        Returns
        -------
        Transition
            The next call of ``reset`` or ``step`` overwrites its arrays.

        Raises
        ------
        BrokenEnvironment
            If an environment fails, or a reward or observation is not finite; nothing can be stepped afterwards.
        ValueError, TypeError
            For actions of another shape, outside 0..size-1, or not finite; for a step before the first reset.
        """
        if not self._started:
            raise ValueError("environments must be reset before their first step: call reset()")
        self._take(np.asarray(actions))
        self._steps += 1
        self._do("step")
        slab = self._slab
        self._all_finite("reward", slab.rewards)
        self._all_finite("final observation", slab.final_observations)
        self._all_finite("observation", slab.observations)
        return self._transition

    def close(self) -> None:
        """Close the environments, and end the processes that step them; again does nothing."""
        stepper, self._stepper = self._stepper, None
        if stepper is not None:
            stepper.close()

    def __enter__(self) -> "Environments":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do(self, what: str) -> None:
        if self._stepper is None:
            raise ValueError(f"these environments are closed: open them again to {what} them")
        try:
            getattr(self._stepper, what)()
        except BaseException:  # also Ctrl-C: some of the environments have taken a step and some have not
            self.close()
            raise

    def _take(self, actions: np.ndarray) -> None:
        """Put actions into the slab, clipped to the bounds."""
        space, taken = self.action, self._slab.actions
        if actions.shape != taken.shape:
            raise ValueError(f"actions must have shape {list(taken.shape)}, got {list(actions.shape)}")
        if space.discrete:
            if actions.dtype.kind not in "iu":
                raise TypeError(f"actions must be integers, got dtype {actions.dtype}")
            if actions.min() < 0 or actions.max() >= space.size:
                raise ValueError(f"actions must be in 0..{space.size - 1}, got {actions.tolist()}")
            taken[:] = actions
            return
        if actions.dtype.kind not in "iuf":
            raise TypeError(f"actions must be real numbers, got dtype {actions.dtype}")
        if not np.isfinite(actions).all():
            i = int(np.argmin(np.isfinite(actions).all(-1)))
            raise ValueError(f"actions must be finite, got actions[{i}] = {actions[i]}: the policy diverged")
        np.clip(actions, space.low, space.high, out=taken)

    def _all_finite(self, what: str, rows: np.ndarray) -> None:
        if np.isfinite(rows).all():
            return
        i = int(np.argmin(np.isfinite(rows.reshape(self.n, -1)).all(-1)))
        self.close()
        raise BrokenEnvironment(self.name, i, self._steps, f"its {what} is not finite: {rows[i]}")


def open_environments(
    environment: Maker, n: int, *, seed: int, workers: int | None = None, backend: str = "auto"
) -> Environments:
    """Open n copies of an environment.

    Observations are flattened to float32 rows, Discrete ones one-hot. Environment i draws from a stream that is
    determined by ``seed`` and i, so that trajectories depend on nothing else: "local" and "processes" agree bit
    for bit for any number of workers, "vector" up to the rounding of its arithmetic. EnvPool has other streams.

    Parameters
    ----------
    environment : str or function
        A Gymnasium id (for EnvPool one of its own), or a function without arguments that makes an environment, a
        like one every time. It may be a lambda, also with worker processes.
    n : int
    seed : int
        Not negative.
    workers : int, optional
        Number of processes (threads for EnvPool) if there are any; by default the number of cores. Never more
        than n.
    backend : {"auto", "vector", "local", "processes", "envpool"}
        ``vector``: Gymnasium's own vectorised form, which CartPole has; ``local``: one by one in this process;
        ``processes``: in worker processes that share memory; ``envpool``: EnvPool's, if installed. ``auto``
        prefers ``vector``, then takes ``processes`` for an environment so slow that they pay.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, or an environment whose spaces are not supported.
    ImportError
        For ``envpool`` if it is not installed.
    BrokenEnvironment
        If an environment cannot be made, in a worker in particular.
    gymnasium.error.Error
        For an id that Gymnasium does not know.
    """
    n = validate.positive_integer("n", n)
    seed = validate.positive_integer("seed", seed, 0)
    if workers is not None:
        workers = validate.positive_integer("workers", workers)
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    workers = backends.count_workers(n, workers)
    if backend == "envpool":
        open_seeded = partial(open_pool, environment, workers)
        with contextlib.closing(open_seeded([0])) as pool:
            layout, action = _layout(n, pool)
        slab = _own(layout)
        return Environments(str(environment), backend, Pool(open_seeded, slab), slab, action, seed)
    recipe, env = Recipe.of(environment)
    try:
        layout, action = _layout(n, env)
        if backend == "auto":
            backend = _fastest(recipe, env, n, workers)
    finally:
        env.close()
    stepper: Workers | OneByOne | Carts
    if backend == "processes":
        stepper = Workers(recipe, layout, workers)
        slab = stepper.slab
    else:
        slab = _own(layout)
        stepper = OneByOne(recipe, slab) if backend == "local" else Carts(recipe, slab)
    return Environments(recipe.name, backend, stepper, slab, action, seed)


def _layout(n: int, env: Any) -> tuple[Layout, ActionSpace]:
    action = action_space(env.action_space)
    return Layout(n, observation_size(env.observation_space), action.row), action


def _own(layout: Layout) -> Slab:
    return Slab.over(bytearray(layout.nbytes), layout)


def _fastest(recipe: Recipe, env: Any, n: int, workers: int) -> str:
    if has_vectorised(recipe):
        return "vector"
    return "processes" if backends.processes_pay(env, n, workers) else "local"
