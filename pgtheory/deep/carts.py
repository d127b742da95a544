"""Gymnasium's vectorised CartPole with episodes that start as those of single carts do."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.utils import seeding

from pgtheory.deep.slab import Slab
from pgtheory.deep.stepping import Recipe


class Carts:
    """All carts in one array operation; the same trajectories as single environments have.

    Gymnasium resets a cart at the step *after* its episode ended, whose action it ignores, and draws all starts
    from one generator. Here a cart is reset at once, from a generator of its own.
    """

    def __init__(self, recipe: Recipe, slab: Slab) -> None:
        self._carts = _vectorised(recipe, len(slab.seeds))
        self._slab = slab
        self._generators: list[np.random.Generator] = []

    def reset(self) -> None:
        """Start an episode in every environment, from the slab's seeds."""
        if self._slab.seeds[0] >= 0:
            self._generators = [seeding.np_random(seed)[0] for seed in self._slab.seeds.tolist()]
        self._carts.reset()
        self._start(np.arange(len(self._generators)))
        self._slab.observations[:] = self._state.T

    def step(self) -> None:
        """Take the slab's actions and write what comes of them."""
        slab, carts = self._slab, self._carts
        slab.final_observations[:], slab.rewards[:], terminated, truncated, _ = carts.step(slab.actions)
        slab.terminated[:], slab.truncated[:] = terminated, truncated
        slab.observations[:] = slab.final_observations
        over = np.flatnonzero(terminated | truncated)
        if over.size:
            self._start(over)
            carts.prev_done[over] = False  # they have been reset
            slab.observations[over] = self._state.T[over]

    def close(self) -> None:
        """Close the carts."""
        self._carts.close()

    @property
    def _state(self) -> np.ndarray:  # [4, n]
        return self._carts.state  # type: ignore[return-value]

    def _start(self, which: np.ndarray) -> None:
        for i in which:
            self._state[:, i] = self._generators[i].uniform(self._carts.low, self._carts.high, 4)
        self._carts.steps[which] = 0


def has_vectorised(recipe: Recipe) -> bool:
    """Whether Gymnasium has a vectorised form whose episodes can be reset one at a time: CartPole.

    Of others, such as the JAX environments, no state can be replaced, and a reset at the next step loses a step.
    """
    spec = recipe.make
    return (
        isinstance(spec, gymnasium.envs.registration.EnvSpec)
        and spec.vector_entry_point == f"{CartPoleVectorEnv.__module__}:{CartPoleVectorEnv.__name__}"
        and not spec.additional_wrappers
    )


def _vectorised(recipe: Recipe, n: int) -> CartPoleVectorEnv:
    if not has_vectorised(recipe):
        raise ValueError(
            f"backend='vector' is for the id of a CartPole, got {recipe.name!r}: leave it at 'auto'"
        )
    spec: Any = recipe.make
    carts: Any = gymnasium.make_vec(spec, n, vectorization_mode="vector_entry_point")
    return carts
