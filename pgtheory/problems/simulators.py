"""Gymnasium environments, many at a time, each reproducible from a seed of its own.

An episode is over at its first termination or truncation. What an environment does after that is no part of
any episode: the caller says which episodes are still ``live`` and reads nothing of the others.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

Maker = str | Callable[..., gymnasium.Env]
Step = tuple[np.ndarray, np.ndarray, np.ndarray]


class OneByOne:
    """One environment an episode, stepped in turn for as long as its episode lasts.

    Gymnasium's ``SyncVectorEnv`` does the same but goes on stepping what is over until everything is.
    """

    def __init__(self, make: Callable[[], gymnasium.Env]) -> None:
        self._make = make
        self._envs = [make()]
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space

    def reset(self, generators: list[np.random.Generator], n: int) -> np.ndarray:
        """Start n episodes from the draws of each generator: first observations [seeds * n, observation]."""
        seeds = [int(seed) for generator in generators for seed in generator.integers(2**62, size=n)]
        self._envs += [self._make() for _ in range(len(seeds) - len(self._envs))]
        return np.array([env.reset(seed=seed)[0] for env, seed in zip(self._envs, seeds)], dtype=np.float64)

    def step(self, actions: np.ndarray, live: np.ndarray) -> Step:
        """Observations, rewards, and which episodes are over, [seeds * n, …]; meaningful where ``live``."""
        observations = np.zeros((len(live), *(self.observation_space.shape or ())))
        rewards, over = np.zeros(len(live)), np.ones(len(live), bool)
        for i in np.flatnonzero(live):
            observations[i], rewards[i], terminated, truncated, _ = self._envs[i].step(actions[i])
            over[i] = terminated or truncated
        return observations, rewards, over


class CartPoles:
    """Gymnasium's vectorised CartPole: all carts at once.

    It draws every start from one generator, so that a seed's would depend on the seeds beside it. They are
    drawn seed by seed in a smaller copy instead and put in; from there on the dynamics are deterministic.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._all, self._some = self._carts(1), self._carts(1)
        self.observation_space = self._all.single_observation_space
        self.action_space = self._all.single_action_space

    def reset(self, generators: list[np.random.Generator], n: int) -> np.ndarray:
        """As :meth:`OneByOne.reset`."""
        self._some, self._all = self._sized(self._some, n), self._sized(self._all, n * len(generators))
        observations, states = [], []
        for generator in generators:
            observations.append(self._some.reset(seed=int(generator.integers(2**62)))[0])
            states.append(self._some.unwrapped.state)
        self._all.reset(seed=0)
        self._all.unwrapped.state = np.concatenate(states, axis=1)
        return np.concatenate(observations).astype(np.float64)

    def step(self, actions: np.ndarray, live: np.ndarray) -> Step:
        """As :meth:`OneByOne.step`; a cart that is over is reset at the next step, where nobody looks."""
        observations, rewards, terminated, truncated, _ = self._all.step(actions)
        return observations.astype(np.float64), rewards.astype(np.float64), terminated | truncated

    def _sized(self, carts: Any, n: int) -> Any:
        return carts if carts.num_envs == n else self._carts(n)

    def _carts(self, n: int) -> Any:
        return gymnasium.make_vec("CartPole-v1", n, vectorization_mode="vector_entry_point", **self._options)


def simulator(env: Maker, options: Mapping[str, Any]) -> OneByOne | CartPoles:
    """The fastest way to simulate an environment; observations that are not vectors are flattened.

    Raises
    ------
    TypeError
        For anything but an id or a function that makes an environment.
    gymnasium.error.Error
        For an id that Gymnasium does not know.
    """
    if not isinstance(env, str) and not callable(env):
        raise TypeError(f"env must be an id such as 'CartPole-v1' or a function that makes one, got {env!r}")
    if env == "CartPole-v1":
        return CartPoles(**options)
    build = partial(gymnasium.make, env, disable_env_checker=True) if isinstance(env, str) else env

    def make() -> gymnasium.Env:
        made = build(**options)
        space = made.observation_space
        is_vector = isinstance(space, spaces.Box) and len(space.shape) == 1
        return made if is_vector else gymnasium.wrappers.FlattenObservation(made)

    return OneByOne(make)
