"""The continuous lock as a Gymnasium environment, single and vectorised."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pgtheory.hybrid.lock import N_ACTIONS, ContinuousLock
from pgtheory.mdp import validate


class LockEnv(gymnasium.Env):
    """One lock; an episode terminates after exactly H steps, dead or not.

    Parameters
    ----------
    lock : ContinuousLock, optional
        Otherwise one is made from the rest.
    secret : int array [H, 2], optional
        Otherwise drawn.
    horizon, secret_seed : int
        What the secret is drawn from.
    options
        Of ``ContinuousLock``: temperature, anti_shaped, observation.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own convention

    def __init__(
        self,
        lock: ContinuousLock | None = None,
        *,
        secret: Any = None,
        horizon: int = 5,
        secret_seed: int = 0,
        render_mode: None = None,
        **options: Any,
    ) -> None:
        self.lock = build(lock, secret, horizon, secret_seed, options)
        self.observation_space, self.action_space = lock_spaces(self.lock)
        self._state, self._step = np.zeros(1, np.int64), -1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A good state with probability ½ each."""
        super().reset(seed=seed)
        self._state, self._step = self.lock.start(1, self.np_random), 0
        return self._observe(), {"state": int(self._state[0])}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step; ``info`` holds the latent state and action."""
        if not 0 <= self._step < self.lock.horizon:
            raise gymnasium.error.ResetNeeded("call reset before step: no episode is under way")
        rows = validate.real_array("action", action, (N_ACTIONS,), "[10]")[None]
        self._state, rewards, codes = self.lock.advance(self._step, self._state, rows, self.np_random)
        self._step += 1
        info = {"state": int(self._state[0]), "code": int(codes[0])}
        return self._observe(), float(rewards[0]), self._step == self.lock.horizon, False, info

    def _observe(self) -> np.ndarray:
        return self.lock.observe(self._step, self._state, self.np_random)[0]


class LockVectorEnv(VectorEnv):
    """n episodes of a lock in one compiled step; all end together and begin again in the same step.

    Parameters as for ``LockEnv``; ``num_envs`` is n.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        lock: ContinuousLock | None = None,
        *,
        secret: Any = None,
        horizon: int = 5,
        secret_seed: int = 0,
        **options: Any,
    ) -> None:
        self.lock = build(lock, secret, horizon, secret_seed, options)
        self.num_envs = validate.positive_integer("num_envs", num_envs)
        self.single_observation_space, self.single_action_space = lock_spaces(self.lock)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._states, self._step = np.zeros(num_envs, np.int64), -1

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """New episodes; all draw from one generator, so one seed is enough."""
        if isinstance(seed, list):
            raise TypeError(
                f"seed must be one integer, got {seed!r}: all episodes draw from the same generator"
            )
        super().reset(seed=seed)
        return self._begin(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of every episode; at the last one ``info["final_obs"]`` [n, size] is what it led to."""
        if self._step < 0:
            raise gymnasium.error.ResetNeeded("call reset before step")
        rows = validate.real_array("actions", actions, (self.num_envs, N_ACTIONS), "[num_envs, 10]")
        after, rewards, codes = self.lock.advance(self._step, self._states, rows, self.np_random)
        self._states, self._step = after, self._step + 1
        observations = self.lock.observe(self._step, after, self.np_random)
        info: dict[str, Any] = {"state": after, "code": codes}
        over = self._step == self.lock.horizon
        if over:
            info |= {"final_obs": observations, "_final_obs": np.ones(self.num_envs, bool)}
            observations = self._begin()
        ended = np.full(self.num_envs, over)
        return observations, rewards, ended, np.zeros(self.num_envs, bool), info

    def _begin(self) -> np.ndarray:
        self._states, self._step = self.lock.start(self.num_envs, self.np_random), 0
        return self.lock.observe(0, self._states, self.np_random)


def build(
    lock: ContinuousLock | None, secret: Any, horizon: int, secret_seed: int, options: dict[str, Any]
) -> ContinuousLock:
    """The lock given, or one made from the rest."""
    if lock is None:
        made = ContinuousLock.draw(horizon, secret_seed) if secret is None else None
        return ContinuousLock(secret if made is None else made.secret, **options)
    validate.instance_of("lock", lock, ContinuousLock)
    if secret is not None or options:
        raise TypeError(f"secret and {sorted(options)} are for making a lock, got one already")
    return lock


def lock_spaces(lock: ContinuousLock) -> tuple[spaces.Box, spaces.Box]:
    """Spaces of observations and actions, both unbounded."""
    return tuple(spaces.Box(-np.inf, np.inf, (n,), np.float64) for n in (lock.size, N_ACTIONS))  # type: ignore[return-value]
