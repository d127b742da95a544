r"""Offline data: transitions kept step by step, where they come from, and what they cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pgtheory.hybrid.lock import N_ACTIONS, ContinuousLock, Episodes
from pgtheory.mdp import validate


class Transitions(NamedTuple):
    """Transitions at one step, or a batch of them at every step (axes [H, m, ...]).

    ``observations`` [n, size], ``actions`` [n, k], ``rewards`` [n], ``next_observations`` [n, size]; the latent
    ``states`` and ``codes`` [n] where they are known, for coverage reports, else None.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_observations: np.ndarray
    states: np.ndarray | None = None
    codes: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class OfflineData:
    """Transitions of a finite-horizon environment, one set for every step.

    Parameters
    ----------
    steps : sequence of Transitions
        Those of step 0, of step 1, …; every step has at least one.
    environment : str
        Where they are from: ``ContinuousLock.identity`` for a lock.

    Raises
    ------
    ValueError, TypeError
        If a step has no transitions, shapes do not fit within a step or between steps, or a number is not finite.
    """

    steps: tuple[Transitions, ...]
    environment: str

    def __post_init__(self) -> None:
        steps = validate.sequence("steps", self.steps, "Transitions, one for each step of the horizon")
        if not steps:
            raise ValueError("steps must hold the transitions of at least one step, got none")
        if not isinstance(self.environment, str) or not self.environment:
            raise ValueError(
                f"environment must say where the data are from, such as lock.identity, got {self.environment!r}"
            )
        size = k = None
        for h, step in enumerate(steps):
            _check(step, h, size, k)
            size, k = step.observations.shape[1], step.actions.shape[1]
        object.__setattr__(self, "steps", tuple(steps))

    @classmethod
    def from_episodes(cls, episodes: Episodes, environment: str) -> OfflineData:
        """Of whole episodes. Not copied: a step's next observations are the next step's observations."""
        e = episodes
        columns = zip(e.observations, e.actions, e.rewards, e.observations[1:], e.states, e.codes)
        return cls(tuple(Transitions(*column) for column in columns), environment)

    @property
    def horizon(self) -> int:
        """*H*."""
        return len(self.steps)

    def __len__(self) -> int:
        """Number of transitions."""
        return sum(len(step.rewards) for step in self.steps)

    def sample(self, m: int, rng: np.random.Generator) -> Transitions:
        """m transitions of every step, drawn with replacement: arrays [H, m, ...], in float64."""
        picks = [rng.integers(len(step.rewards), size=m) for step in self.steps]
        columns = ("observations", "actions", "rewards", "next_observations")
        drawn = [
            np.stack([getattr(step, name)[pick] for step, pick in zip(self.steps, picks)]).astype(
                np.float64, copy=False
            )
            for name in columns
        ]
        return Transitions(*drawn)

    def check(self, lock: ContinuousLock) -> None:
        """Refuse data that are not this lock's.

        Raises
        ------
        ValueError
            Naming what differs: the horizon, the width of observations or actions, or the environment.
        """
        if self.horizon != lock.horizon:
            missing = f", steps {self.horizon}..{lock.horizon - 1} are missing"
            raise ValueError(
                f"data must cover the {lock.horizon} steps of the lock, got {self.horizon}"
                + (missing if self.horizon < lock.horizon else "")
            )
        for name, found, wanted in (
            ("observations", self.steps[0].observations.shape[1], lock.size),
            ("actions", self.steps[0].actions.shape[1], N_ACTIONS),
        ):
            if found != wanted:
                raise ValueError(f"data must have {name} of length {wanted}, got {found}")
        if self.environment != lock.identity:
            raise ValueError(
                f"data must be from this environment, {lock.identity}, got data from {self.environment}: "
                "collect them on the lock that is trained on"
            )


def collect(
    lock: ContinuousLock,
    episodes: int,
    rng: np.random.Generator,
    *,
    epsilon: float | None = None,
    dtype: Any = np.float32,
) -> OfflineData:
    r"""The paper's offline data: the secret's one-hot vector, except with probability ε uniform in [0, 1]^10.

    In the dead state the behaviour plays for good state 1.

    Parameters
    ----------
    epsilon : float, optional
        1 / H unless given: the whole secret is then played in about a third of the episodes.
    dtype : dtype
        Of what is kept; half the memory is as good here.
    """
    validate.instance_of("lock", lock, ContinuousLock)
    n = validate.positive_integer("episodes", episodes)
    epsilon = 1 / lock.horizon if epsilon is None else validate.probability("epsilon", epsilon)
    H = lock.horizon
    observations = np.empty((H + 1, n, lock.size), dtype)
    actions, rewards = np.empty((H, n, N_ACTIONS), dtype), np.empty((H, n), dtype)
    states, codes = np.empty((H + 1, n), np.int8), np.empty((H, n), np.int8)
    state = lock.start(n, rng)
    for h in range(H):
        observations[h], states[h] = lock.observe(h, state, rng), state
        played = np.eye(N_ACTIONS)[lock.secret[h][np.minimum(state, 1)]]
        strays = rng.random(n) < epsilon
        played[strays] = rng.random((int(strays.sum()), N_ACTIONS))
        actions[h] = played
        state, rewards[h], codes[h] = lock.advance(h, state, played, rng)
    observations[H], states[H] = lock.observe(H, state, rng), state
    return OfflineData.from_episodes(Episodes(observations, actions, rewards, states, codes), lock.identity)


class Coverage(NamedTuple):
    r"""What data know of the optimal policy.

    ``success``: share of last transitions that pay 1. ``ratio`` [H, 2]: :math:`d^{\pi^*}(s,z)/\nu(s,z)` at every step
    for both good states and their secret latent actions, infinite where there are no data. ``worst``: its maximum.
    """

    success: float
    ratio: np.ndarray
    worst: float


def coverage(data: OfflineData, lock: ContinuousLock) -> Coverage:
    """How the optimal policy's pairs are represented in the data, from the latent states that they carry.

    Raises
    ------
    ValueError
        If the data are another lock's or carry no latent states.
    """
    data.check(lock)
    ratio = np.empty((lock.horizon, 2))
    for h, step in enumerate(data.steps):
        if step.states is None or step.codes is None:
            raise ValueError(
                f"data must carry latent states and actions for a coverage report, step {h} does not"
            )
        for s in range(2):
            share = ((step.states == s) & (step.codes == lock.secret[h, s])).mean()
            ratio[h, s] = 0.5 / share if share > 0 else np.inf
    success = float((data.steps[-1].rewards == 1.0).mean())
    return Coverage(success, ratio, float(ratio.max()))


def behaviour_success(lock: ContinuousLock, epsilon: float | None = None) -> float:
    r"""Exact success rate of ``collect``: :math:`[(1-\varepsilon)p+\varepsilon/10]^H`, p that of a one-hot vector."""
    epsilon = 1 / lock.horizon if epsilon is None else validate.probability("epsilon", epsilon)
    return ((1 - epsilon) * lock.greedy_probability + epsilon / N_ACTIONS) ** lock.horizon


def density_ratio(horizon: int) -> float:
    r"""Bound :math:`(1-.9/H)^{-H}` on :math:`d^{\pi^*}/\nu` of ``collect`` with ε = 1 / H and an exact behaviour."""
    H = validate.positive_integer("horizon", horizon)
    return (1 - 0.9 / H) ** -H


def _check(step: Any, h: int, size: int | None, k: int | None) -> None:
    if not isinstance(step, Transitions):
        raise TypeError(f"steps[{h}] must be Transitions, got {type(step).__name__}")
    n = len(validate.numbers(f"steps[{h}].rewards", step.rewards))
    if n == 0:
        raise ValueError(f"steps[{h}] must hold at least one transition, got none: the horizon has a gap")
    for name, width in (("observations", size), ("actions", k), ("next_observations", size)):
        values = validate.numbers(f"steps[{h}].{name}", getattr(step, name))
        if values.ndim != 2 or len(values) != n or (width is not None and values.shape[1] != width):
            want = f"[{n}, {'any' if width is None else width}]"
            raise ValueError(f"steps[{h}].{name} must have shape {want}, got {list(values.shape)}")
    for name in ("observations", "actions", "rewards", "next_observations"):
        values = getattr(step, name)
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise ValueError(f"steps[{h}].{name} must be finite, got {values[where]} at {where}")
    if step.next_observations.shape[1] != step.observations.shape[1]:
        raise ValueError(f"steps[{h}].next_observations must be as long as observations, got another length")
