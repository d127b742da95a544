"""Running a method: records, budgets, divergences."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.problems.streams import Streams

Measure = Callable[[Any, Any], Mapping[str, np.ndarray]]


class Meter:
    """A problem that counts what each seed spends.

    Attributes
    ----------
    trajectories, transitions : int arrays [seeds]
    """

    def __init__(self, problem: Any, rng: Streams) -> None:
        self._problem = problem
        self._place = {int(seed): i for i, seed in enumerate(rng.seeds)}
        self.trajectories, self.transitions = np.zeros((2, len(rng)), np.int64)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def rollouts(self, theta: np.ndarray, rng: Streams, n: int = 1) -> Any:
        """The problem's rollouts, counted."""
        tau = self._problem.rollouts(theta, rng, n)
        at = slice(None) if len(rng) == len(self._place) else [self._place[int(seed)] for seed in rng.seeds]
        self.trajectories[at] += n
        self.transitions[at] += tau.lengths.sum(axis=1)
        return tau


def optimise(
    method: Any,
    problem: Any,
    theta: np.ndarray,
    rng: Streams,
    *,
    iterations: int,
    record: Any = None,
    measure: Measure | None = None,
    progress: bool = False,
) -> dict[str, np.ndarray]:
    """Run ``iterations`` steps of a method for all seeds at once and record what happened.

    A seed whose parameters stop being finite has diverged: it is frozen at its last finite state, reported as
    NaN from then on, and counted, while the others go on.

    Parameters
    ----------
    method : Method
        Anything with ``init`` and ``step``.
    problem : Problem
    theta : array [seeds, dim] or [dim]
        Where to start; one vector serves all seeds.
    rng : Streams
    iterations : int
    record : int array, optional
        Numbers of steps done at which to record (0 is before the first); the last only, by default.
    measure : function of (problem, state), optional
        Returns arrays [seeds, ...] by name; the exact value ``J`` by default.
    progress : bool
        Show a bar with the remaining time.

    Returns
    -------
    dict of arrays [len(record), seeds, ...]
        What ``measure`` returned, and ``trajectories``, ``transitions`` spent so far and ``diverged``.

    Raises
    ------
    TypeError, ValueError
        For an argument, or a result of ``measure``, that is not as described.
    """
    validate.instance_of("rng", rng, Streams)
    iterations = validate.positive_integer("iterations", iterations)
    theta = validate.numbers("theta", theta).astype(float)
    if theta.ndim == 1:
        theta = np.tile(theta, (len(rng), 1))
    if theta.shape != (len(rng), problem.dim):
        raise ValueError(f"theta must be [seeds, dim] = [{len(rng)}, {problem.dim}], got {list(theta.shape)}")
    if not np.isfinite(theta).all():
        raise ValueError("theta must be finite, got a NaN or infinite entry")
    at = {iterations} if record is None else set(validate.sequence("record", record, "numbers of steps"))
    if not at or not at <= set(range(iterations + 1)):
        raise ValueError(f"record must hold numbers of steps 0..{iterations}, at least one, got {list(at)}")
    measure = measure or (lambda problem, state: {"J": problem.value(state.theta)})
    metered = Meter(problem, rng)
    alive = np.ones(len(rng), bool)
    rows: list[dict[str, np.ndarray]] = []
    state = method.init(metered, theta, rng)
    for t in _steps(iterations, progress):
        if t in at:
            rows.append(_row(measure(problem, state), metered, alive))
        if t < iterations:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                proposal = method.step(metered, state, rng)
            alive &= np.isfinite(proposal.theta).all(axis=-1)
            state = proposal if alive.all() else _keep(alive, proposal, state)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _steps(iterations: int, progress: bool) -> Any:
    if not progress:
        return range(iterations + 1)
    from tqdm import tqdm

    return tqdm(range(iterations + 1), dynamic_ncols=True)


def _row(measured: Mapping[str, np.ndarray], meter: Meter, alive: np.ndarray) -> dict[str, np.ndarray]:
    row = {}
    for name, values in measured.items():
        row[name] = np.array(values, dtype=float)
        if row[name].shape[:1] != alive.shape:
            want = f"arrays [seeds, ...] = [{len(alive)}, ...]"
            raise ValueError(f"measure must return {want}, got {name!r} of shape {list(row[name].shape)}")
        row[name][~alive] = np.nan
    spent = {"trajectories": meter.trajectories.copy(), "transitions": meter.transitions.copy()}
    return row | spent | {"diverged": ~alive}


def _keep(alive: np.ndarray, proposal: Any, state: Any) -> Any:
    """The new state for living seeds, the old one for the others."""

    def one(new: Any, old: Any) -> Any:
        if not isinstance(new, np.ndarray) or new.ndim == 0:
            return new
        return np.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return type(state)(*(one(new, old) for new, old in zip(proposal, state)))
