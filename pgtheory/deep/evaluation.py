"""How good a policy is: whole episodes from seeds that training never uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory.mdp import validate

if TYPE_CHECKING:
    import gymnasium

Act = Callable[..., np.ndarray]

EVALUATION = 0x6576616C  # "eval": the spawn key of every seed sequence here
SEED_BITS = 31  # what every simulator takes, also those that keep a seed in a C int


class EndlessEpisodeError(RuntimeError):
    """An episode did not end within the steps allowed."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a policy earned.

    Attributes
    ----------
    returns : array [episodes], float64
        Undiscounted sums of rewards.
    lengths : array [episodes], int64
        Steps.
    """

    returns: np.ndarray
    lengths: np.ndarray

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for one episode, which says nothing about its own spread."""
        n = len(self.returns)
        return float(self.returns.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """A 95 % confidence interval for the mean by Student's t; it covers episodes, not training seeds."""
        from scipy.special import stdtrit

        half = float(stdtrit(max(len(self.returns) - 1, 1), 0.975)) * self.standard_error
        return self.mean - half, self.mean + half


def evaluate(
    act: Act,
    environment: str | Callable[[], gymnasium.Env],
    episodes: int = 10,
    seed: int = 10_000,
    deterministic: bool = True,
    *,
    max_steps: int = 100_000,
) -> Evaluation:
    """Play whole episodes.

    **Seeds.** Episode k starts from ``SeedSequence((seed, k), spawn_key=(EVALUATION,))``. Training seeds its
    environment i from ``SeedSequence((seed, i))``, without a spawn key, and NumPy never gives two sequences with
    different spawn keys the same input: the episodes here differ from every training environment's, also when
    both are given the same ``seed``. (Simulators take 31 bits of it, so two may meet by accident, once in 2e9
    pairs.) Episodes do not depend on how many are played, and different policies meet the same starts.

    Parameters
    ----------
    act
        ``act(observations [1, d] float32) → actions [1] or [1, size]``; observations as in training, flattened or
        one-hot.
    environment
        A Gymnasium id, or a function that makes an environment. Vectors of actions are clipped to their bounds.
    deterministic
        False calls ``act(observations, rng)`` with a ``numpy.random.Generator`` of each episode's own.
    max_steps
        Steps after which an episode is taken for endless.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, unsupported spaces, and actions of another shape or not finite.
    EndlessEpisodeError
        When an episode does not end within ``max_steps``.
    """
    episodes = validate.positive_integer("episodes", episodes)
    seed = validate.positive_integer("seed", seed, 0)
    max_steps = validate.positive_integer("max_steps", max_steps)
    deterministic = validate.flag("deterministic", deterministic)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    env = open_environment(environment)
    try:
        for k in range(episodes):
            episode = Episode(act, env, seed, k, deterministic)
            while not episode.over:
                if lengths[k] == max_steps:
                    raise EndlessEpisodeError(
                        f"episode {k} did not end within max_steps={max_steps}; give the environment a time limit, "
                        "as gymnasium.make(..., max_episode_steps=1000) does, or raise max_steps"
                    )
                returns[k] += episode.step()
                lengths[k] += 1
    finally:
        env.close()
    return Evaluation(returns, lengths)


class Episode:
    """One episode of a policy, from its reset on.

    Attributes
    ----------
    over : bool
        Whether it was terminated or truncated.
    """

    def __init__(
        self, act: Act, env: gymnasium.Env, seed: int, k: int = 0, deterministic: bool = True
    ) -> None:
        from pgtheory.deep.spaces import action_space, observation_size, observation_writer, to_environment

        if not callable(act):
            raise TypeError(f"act must be a function of observations, such as agent.act, got {act!r}")
        start, noise = np.random.SeedSequence((seed, k), spawn_key=(EVALUATION,)).generate_state(2)
        self._act, self._env = act, env
        self._rng = () if deterministic else (np.random.default_rng(noise),)
        self._space = action_space(env.action_space)
        self._taken = to_environment(env.action_space)
        self._write = observation_writer(env.observation_space)
        self._size = observation_size(env.observation_space)
        self._observation: Any = env.reset(seed=int(start) >> (32 - SEED_BITS))[0]
        self.over = False

    def step(self) -> float:
        """Let the policy act once; returns the reward."""
        row = np.empty((1, self._size), dtype=np.float32)  # a fresh one: the policy may keep it
        self._write(row[0], self._observation)
        action = self._taken(self._checked(np.asarray(self._act(row, *self._rng))))[0]
        self._observation, reward, terminated, truncated, _ = self._env.step(action)
        self.over = bool(terminated or truncated)
        return float(reward)

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        """Actions [1] or [1, size] that the environment can take."""
        space = self._space
        shapes = [(1, *space.row), *([(1, 1)] if space.discrete else [])]
        if actions.shape not in shapes:
            raise ValueError(f"act must return actions of shape {list(shapes[0])}, got {list(actions.shape)}")
        if not np.isfinite(actions).all():
            raise ValueError(f"act must return finite actions, got {actions[0]}: the policy diverged")
        if not space.discrete:
            return np.clip(actions, space.low, space.high)
        if actions.item() not in range(space.size):
            raise ValueError(f"act must return an action 0..{space.size - 1}, got {actions.item()}")
        return actions.reshape(1).astype(np.int64)


def open_environment(environment: str | Callable[[], gymnasium.Env], **options: Any) -> gymnasium.Env:
    """Make one environment: an id with Gymnasium's options, or a function that takes none.

    Raises
    ------
    TypeError
        If it is neither, or the function returns something else.
    gymnasium.error.Error
        For an id that Gymnasium does not know.
    """
    import gymnasium

    if isinstance(environment, str):
        return gymnasium.make(environment, **options)
    if not callable(environment):
        raise TypeError(
            f"environment must be an id such as 'Hopper-v5' or a function that makes one, got {environment!r}"
        )
    env = environment()
    if not isinstance(env, gymnasium.Env):
        raise TypeError(f"environment() must return a gymnasium.Env, got {env!r}")
    return env
