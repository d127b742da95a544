"""Single Gymnasium environments, stepped one after the other in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from pgtheory.deep.evaluation import open_environment
from pgtheory.deep.slab import Slab
from pgtheory.deep.spaces import observation_writer, to_environment

Maker = str | Callable[[], gymnasium.Env]
SEED_BITS = 31  # what every simulator takes, also those that keep a seed in a C int


class BrokenEnvironment(RuntimeError):
    """An environment failed, or returned something that is no transition.

    Attributes
    ----------
    environment : str
        Its name.
    index : int
        Which of the environments.
    step : int
        Which of its steps since it was opened, from 1; 0 if it failed before or in the first reset.
    reason : str
        What happened; with the worker's traceback if it happened in another process.
    """

    def __init__(self, environment: str, index: int, step: int, reason: str) -> None:
        super().__init__(environment, index, step, reason)
        self.environment, self.index, self.step, self.reason = environment, index, step, reason

    def __str__(self) -> str:
        return f"environment {self.index} ({self.environment}) at step {self.step}: {self.reason}"


@dataclass(frozen=True)
class Recipe:
    """How to make one environment without Gymnasium's checks of every step; travels to other processes."""

    name: str
    make: Callable[[], gymnasium.Env] | gymnasium.envs.registration.EnvSpec

    @classmethod
    def of(cls, maker: Maker) -> tuple["Recipe", gymnasium.Env]:
        """The recipe for an id or a function, and an environment made on the way.

        Raises
        ------
        TypeError
            If ``maker`` is neither, or the function returns something else.
        gymnasium.error.Error
            For an id that Gymnasium does not know.
        """
        env = open_environment(maker, disable_env_checker=True)
        if isinstance(maker, str):
            spec = env.spec
            assert spec is not None
            spec.order_enforce = False  # 8 % of a CartPole step; here nothing is stepped before its reset
            return cls(maker, spec), env
        return cls(getattr(maker, "__name__", type(maker).__name__), maker), env

    def __call__(self) -> gymnasium.Env:
        if isinstance(self.make, gymnasium.envs.registration.EnvSpec):
            return gymnasium.make(self.make, disable_env_checker=True)
        return self.make()


def environment_seeds(seed: int, n: int) -> list[int]:
    """Seed of each environment; it depends on the environment's index, not on how many there are."""
    states = (np.random.SeedSequence((seed, i)).generate_state(1) for i in range(n))
    return [int(state[0]) >> (32 - SEED_BITS) for state in states]


class OneByOne:
    """Environments ``first``, ``first + 1``, … stepped in turn, each reset as soon as its episode ends."""

    def __init__(self, recipe: Recipe, slab: Slab, first: int = 0) -> None:
        self._recipe, self._slab, self._first = recipe, slab, first
        self._steps = 0
        self._envs: list[gymnasium.Env] = []
        try:
            for _ in slab.seeds:
                self._envs.append(recipe())
        except Exception as error:
            raise self._broken(len(self._envs), error) from error
        self._step_one = [env.step for env in self._envs]
        self._write = observation_writer(self._envs[0].observation_space)
        self._taken = to_environment(self._envs[0].action_space)

    def reset(self) -> None:
        """Start an episode in every environment, from the slab's seeds."""
        i = 0
        try:
            for i, (env, seed) in enumerate(zip(self._envs, self._slab.seeds.tolist())):
                if seed >= 0:
                    env.action_space.seed(seed)  # for wrappers that sample actions
                observation, _ = env.reset(seed=seed if seed >= 0 else None)
                self._write(self._slab.observations[i], observation)
        except Exception as error:
            raise self._broken(i, error) from error

    def step(self) -> None:
        """Take the slab's actions and write what comes of them."""
        slab, write = self._slab, self._write
        final, rewards, terminated, truncated = (
            slab.final_observations,
            slab.rewards,
            slab.terminated,
            slab.truncated,
        )
        fresh: list[tuple[int, Any]] = []
        self._steps += 1
        i = 0
        try:
            for i, (step, action) in enumerate(zip(self._step_one, self._taken(slab.actions))):
                observation, rewards[i], terminated[i], truncated[i], _ = step(action)
                write(final[i], observation)
                if terminated[i] or truncated[i]:
                    fresh.append((i, self._envs[i].reset()[0]))
            slab.observations[:] = final
            for i, observation in fresh:
                write(slab.observations[i], observation)
        except Exception as error:
            raise self._broken(i, error) from error

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()

    def _broken(self, i: int, error: Exception) -> BrokenEnvironment:
        reason = f"{type(error).__name__}: {error}"
        return BrokenEnvironment(self._recipe.name, self._first + i, self._steps, reason)
