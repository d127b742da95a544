r"""The combination lock with continuous actions and rich observations (arXiv:2311.08384, Sec. 6).

Two good states and a dead one. At step *h*, in good state *s*, one of ten latent actions, the secret ``secret[h, s]``,
leads on to a good state drawn with probability ½ each; any other kills, for good. The latent action is drawn from
softmax(a/τ) of an action *a* in :math:`\mathbb R^{10}`. The last secret action pays 1. Dying pays .1 with probability
½: less than nothing is ever gained by going on, until all *H* secrets are known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pgtheory.hybrid.encoders import STATES, Encoder, Hadamard, Latent
from pgtheory.mdp import validate

N_ACTIONS = 10
CONSOLATION = ("on-failure", "at-end")
ENVIRONMENT = "pgtheory/ContinuousLock-v0"

Act = Callable[[int, np.ndarray], np.ndarray]
"""Step and observations [n, size] → actions [n, 10]."""


@dataclass(frozen=True, eq=False)
class Episodes:
    """n episodes of H steps, by step.

    Attributes
    ----------
    observations : array [H + 1, n, size]
    actions : array [H, n, 10]
    rewards : array [H, n]
    states : int array [H + 1, n]
        Latent states: 0 and 1 are good, 2 is dead.
    codes : int array [H, n]
        Latent actions.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    states: np.ndarray
    codes: np.ndarray

    @property
    def success(self) -> float:
        """Share of the episodes that end with reward 1."""
        return float((self.rewards[-1] == 1.0).mean())


@dataclass(frozen=True, eq=False)
class ContinuousLock:
    """A lock.

    Parameters
    ----------
    secret : int array [H, 2]
        The right latent action at every step in every good state.
    temperature : float
        τ; .1 in the paper's code, 1 in its text.
    anti_shaped : {"on-failure", "at-end"}
        When the .1 is paid, with probability ½: on the transition to the dead state (the paper's text), or at the last
        step to whoever is dead or dies there (its code). A failing episode returns .05 on average either way.
    observation : {"hadamard", "latent"} or Encoder
        What is seen of the state.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.
    """

    secret: np.ndarray
    temperature: float = 0.1
    anti_shaped: str = "on-failure"
    observation: Any = "hadamard"
    encoder: Encoder = field(init=False, repr=False)

    def __post_init__(self) -> None:
        secret = validate.indices("secret", self.secret, (None, 2), "[H, 2]", 0, N_ACTIONS - 1)
        if len(secret) == 0:
            raise ValueError("secret must hold at least one step, got shape [0, 2]")
        secret.flags.writeable = False
        object.__setattr__(self, "secret", secret)
        object.__setattr__(self, "temperature", validate.positive("temperature", self.temperature))
        if self.anti_shaped not in CONSOLATION:
            raise ValueError(f"anti_shaped must be one of {CONSOLATION}, got {self.anti_shaped!r}")
        object.__setattr__(self, "encoder", _encoder(self.observation, len(secret)))

    @classmethod
    def draw(cls, horizon: int, seed: int, **options: Any) -> ContinuousLock:
        """A lock with a uniform secret, a function of ``seed`` alone; options are those of the class."""
        horizon = validate.positive_integer("horizon", horizon)
        rng = np.random.default_rng(validate.positive_integer("seed", seed, 0))
        return cls(rng.integers(N_ACTIONS, size=(horizon, 2)), **options)

    @property
    def horizon(self) -> int:
        """*H*."""
        return len(self.secret)

    @property
    def size(self) -> int:
        """Length of an observation."""
        return self.encoder.size

    @property
    def identity(self) -> str:
        """What tells this lock's data from another's."""
        digest = hashlib.sha256(self.secret.tobytes()).hexdigest()[:12]
        return (
            f"{ENVIRONMENT}(H={self.horizon}, secret={digest}, temperature={self.temperature:g}, "
            f"anti_shaped={self.anti_shaped}, observation={self.encoder.name})"
        )

    @property
    def greedy_probability(self) -> float:
        """Probability of the latent action whose one-hot vector is played."""
        return float(1 / (1 + (N_ACTIONS - 1) * np.exp(-1 / self.temperature)))

    def start(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Latent states [n] of new episodes: either good one with probability ½."""
        return rng.integers(2, size=n)

    def observe(self, step: int, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Fresh observations [n, size] of states [n] at step 0..H."""
        return self.encoder.encode(step, states, rng)

    def advance(
        self, step: int, states: np.ndarray, actions: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """States [n] after actions [n, 10] at step 0..H-1, rewards [n], and the latent actions [n] drawn."""
        from pgtheory.hybrid.lock_kernels import advance

        n = len(states)
        after, codes, rewards = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
        actions = np.ascontiguousarray(actions, dtype=np.float64)
        last, late = step == self.horizon - 1, self.anti_shaped == "at-end"
        uniform, sharpness = rng.random((n, 2)), 1 / self.temperature
        advance(states, actions, self.secret[step], sharpness, last, late, uniform, codes, after, rewards)
        return after, rewards, codes

    def play(self, act: Act, n: int, rng: np.random.Generator) -> Episodes:
        """n whole episodes side by side."""
        H = self.horizon
        observations = np.empty((H + 1, n, self.size))
        actions, rewards = np.empty((H, n, N_ACTIONS)), np.empty((H, n))
        states, codes = np.empty((H + 1, n), np.int64), np.empty((H, n), np.int64)
        states[0] = self.start(n, rng)
        observations[0] = self.observe(0, states[0], rng)
        for h in range(H):
            actions[h] = act(h, observations[h])
            states[h + 1], rewards[h], codes[h] = self.advance(h, states[h], actions[h], rng)
            observations[h + 1] = self.observe(h + 1, states[h + 1], rng)
        return Episodes(observations, actions, rewards, states, codes)


def _encoder(observation: Any, horizon: int) -> Encoder:
    if observation == "latent":
        return Latent()
    if observation == "hadamard":
        return Hadamard(horizon)
    if isinstance(observation, str) or not hasattr(observation, "encode"):  # strings have one too
        raise ValueError(
            f"observation must be 'hadamard', 'latent' or an encoder such as ClassFeatures, got {observation!r}"
        )
    seen = observation.encode(horizon, np.arange(STATES), np.random.default_rng(0))  # steps 0..H exist
    if np.shape(seen) != (STATES, observation.size):
        raise ValueError(
            f"observation must encode {STATES} states as [{STATES}, {observation.size}], got {np.shape(seen)}"
        )
    return observation
