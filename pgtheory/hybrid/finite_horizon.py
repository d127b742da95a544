r"""The practical loop of arXiv:2311.08384 (Algorithms 4–5): play, evaluate backwards, improve every policy.

An agent holds hyper-parameters; what it learns is a state with a leading axis of steps *h*. Offline transitions, if
any, are drawn anew at each iteration, as many at a step as there are online ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple, Protocol

import numpy as np

from pgtheory.hybrid.lock import ContinuousLock, Episodes
from pgtheory.hybrid.offline import OfflineData, Transitions
from pgtheory.mdp import validate

LARGEST = 1e3
"""A critic that says more than this has diverged: returns lie in [0, 1]."""


class Agent(Protocol):
    """What the loop asks of a method."""

    def init(self, lock: ContinuousLock, rng: np.random.Generator) -> Any:
        """The state to start from."""

    def act(self, state: Any, h: int, observations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Actions [n, 10] at observations [n, size] of step h."""

    def update(
        self, state: Any, online: Episodes, offline: Transitions | None, rng: np.random.Generator
    ) -> tuple[Any, dict[str, float]]:
        """The next state, and what is worth keeping of the update: ``critic``, the largest |Q| among others."""


class Divergence(NamedTuple):
    """Where a critic left all bounds: online steps so far, its largest |Q|, and by what factor it grew an iteration."""

    steps: int
    size: float
    factor: float


@dataclass(eq=False)
class History:
    """What a run did, a row for every iteration; a run that diverged keeps all that came before.

    Attributes
    ----------
    steps : list of int
        Online steps so far.
    success : list of float
        Share of this iteration's episodes that succeeded, before its update.
    metrics : list of dict
        What the agent reported of each update.
    solved : int or None
        Online steps when the mean success of the latest ``window`` iterations exceeded the target.
    divergence : Divergence or None
    """

    steps: list[int] = field(default_factory=list)
    success: list[float] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    solved: int | None = None
    divergence: Divergence | None = None

    def growth(self) -> float:
        """Factor by which the largest |Q| grew an update, over the latest ten finite ones; NaN for fewer than two."""
        sizes = [m["critic"] for m in self.metrics if 0 < m["critic"] < np.inf][-10:]
        return float((sizes[-1] / sizes[0]) ** (1 / (len(sizes) - 1))) if len(sizes) > 1 else float("nan")

    def solves(self, target: float, window: int) -> bool:
        """Whether the mean success of the latest ``window`` iterations exceeds the target."""
        return len(self.success) >= window and bool(np.mean(self.success[-window:]) > target)

    def diverges(self, size: float) -> bool:
        """Whether the largest |Q| is no critic's any more, which is then kept as the run's end."""
        if size <= LARGEST:
            return False
        self.divergence = Divergence(self.steps[-1], size, self.growth())
        return True


def train(
    agent: Agent,
    lock: ContinuousLock,
    data: OfflineData | None,
    *,
    steps: int,
    rng: np.random.Generator,
    batch: int = 1000,
    target: float = 0.5,
    window: int = 10,
    stop: bool = True,
) -> tuple[Any, History]:
    r"""Run an agent on a lock.

    Parameters
    ----------
    data : OfflineData, optional
        Without any the run is on-policy only.
    steps : int
        Online environment steps at most.
    rng : numpy.random.Generator
    batch : int
        Online steps an iteration, rounded up to whole episodes.
    target, window : float, int
        The lock is solved when the mean success of ``window`` iterations exceeds ``target``.
    stop : bool
        End there.

    Returns
    -------
    tuple
        The agent's last state, and a ``History``. A critic whose largest |Q| is not finite or exceeds 1000 ends the
        run; the history says so.

    Raises
    ------
    ValueError, TypeError
        For data of another environment, and numbers out of range.
    """
    validate.instance_of("lock", lock, ContinuousLock)
    if data is not None:
        validate.instance_of("data", data, OfflineData)
        data.check(lock)
    validate.positive_integer("steps", steps)
    n = ceil(validate.positive_integer("batch", batch) / lock.horizon)
    validate.probability("target", target)
    validate.positive_integer("window", window)
    history, state = History(), agent.init(lock, rng)
    for done in range(0, steps, n * lock.horizon):
        online = lock.play(lambda h, x, state=state: agent.act(state, h, x, rng), n, rng)  # type: ignore[misc]
        history.steps.append(done + n * lock.horizon)
        history.success.append(online.success)
        if history.solved is None and history.solves(target, window):
            history.solved = history.steps[-1]
            if stop:
                break
        offline = None if data is None else data.sample(n, rng)
        state, metrics = agent.update(state, online, offline, rng)
        history.metrics.append(metrics)
        if history.diverges(metrics["critic"]):
            break
    return state, history
