"""Run a task on every condition and seed: in parallel, with progress, resumable, bit-identical."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory.evidence.grid import Cell, Grid, Result, Scalar, as_result, check_alike
from pgtheory.evidence.store import Store, task_identity

if TYPE_CHECKING:
    import xarray

Task = Callable[..., Mapping[str, Any]]


class CellError(RuntimeError):
    """The task failed in one cell; the message names the condition, the seed and the task's own error."""


def run(
    task: Task,
    conditions: Mapping[str, Sequence[Scalar]],
    seeds: int | Sequence[int],
    *,
    folder: str | Path | None = None,
    jobs: int = 1,
    backend: str = "loky",
    fresh: bool = False,
    progress: bool = True,
    version: str = "",
    dims: Mapping[str, Sequence[str]] | None = None,
) -> xarray.Dataset:
    """Run ``task(rng=..., **condition)`` on the full grid of conditions, once per seed.

    **Common random numbers.** Each cell gets ``numpy.random.default_rng(seed)``: the stream depends on
    the seed only, so every condition sees the same draws. That makes paired comparison sharp
    (:func:`pgtheory.evidence.paired`), and it means that different conditions are *not* independent.

    **Resuming.** With a ``folder``, every finished cell is stored at once, so neither Ctrl-C nor
    ``kill -9`` loses finished work, and the same call made again continues. The dataset has the same bits
    whatever was interrupted and whatever ``jobs`` and ``backend``, as long as the task's own arithmetic
    does not depend on how many threads its libraries use.

    **When stored cells are used.** A cell's key is a sha256 of the task's qualified name, its source code,
    the condition, the seed and ``version``. Editing the task therefore invalidates its cells; editing
    something that the task *calls*, or a global that it reads, does not: change ``version`` then, or pass
    ``fresh=True``.

    Parameters
    ----------
    task
        Takes ``rng`` (a ``numpy.random.Generator``) and one keyword per condition; returns a mapping from
        names to numbers or arrays, with the same names and shapes in every cell. Non-finite values are
        results like any other: a divergence is a finding.
    conditions
        Name → values (str, int, float or bool); the grid is their Cartesian product.
    seeds
        Distinct non-negative integers, or ``n`` for ``range(n)``.
    folder
        Where finished cells are stored; None stores nothing.
    jobs, backend
        How many cells at a time, and any joblib backend ("loky", "threading", or "dask" and "ray" once
        registered with joblib).
    fresh
        Delete this grid's stored cells first.
    progress
        Show a progress bar with the remaining time.
    version
        Part of every key. Required with ``folder`` when the task carries state that its source does not
        show (captured variables, ``functools.partial``, an object).
    dims
        Names for the axes of array results, such as ``{"error": ("t",)}``; ``error_dim0``, … otherwise.

    Returns
    -------
    xarray.Dataset
        One variable per result, with dimensions (conditions…, ``seed``, the result's own axes). Select a
        condition named ``method`` as ``data.sel({"method": "npg"})``: xarray's own option has that name.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, and for cells whose results differ in names or shapes.
    CellError
        When the task raises; cells finished before stay stored.
    CorruptResultError
        When a stored cell is damaged.
    """
    grid = Grid.checked(conditions, seeds, dims or {})
    cells = grid.cells()
    _check_task(task, cells[0])
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs == 0:
        raise ValueError(f"jobs must be a non-zero integer (-1 for all cores), got {jobs!r}")
    store = None if folder is None else Store(Path(folder), task_identity(task, version))
    if store is not None and fresh:
        store.discard(cells)

    results = {} if store is None else _resume(grid, cells, store)
    pending = [i for i in range(len(cells)) if i not in results]
    outcomes = _execute(task, cells, pending, jobs, backend)
    with _progress(len(cells), len(results), progress) as bar, contextlib.closing(outcomes):
        for i, result in outcomes:
            _admit(grid, cells, results, i, result)
            if store is not None:
                store.save(cells[i], result)
            bar.update()
    return grid.dataset([results[i] for i in range(len(cells))])


def _resume(grid: Grid, cells: list[Cell], store: Store) -> dict[int, Result]:
    results: dict[int, Result] = {}
    for i, cell in enumerate(cells):
        stored = store.load(cell)
        if stored is not None:
            _admit(grid, cells, results, i, stored)
    return results


def _admit(grid: Grid, cells: list[Cell], results: dict[int, Result], i: int, result: Result) -> None:
    """Take a result in at once or refuse it, so that a mistake shows after the first cells of a long run."""
    if results:
        first = next(iter(results))
        check_alike(cells[i], result, cells[first], results[first])
    else:
        grid.check_names(result)
    results[i] = result


def _execute(
    task: Task, cells: list[Cell], pending: list[int], jobs: int, backend: str
) -> Generator[tuple[int, Result], None, None]:
    """Yield (position, result) in order of completion."""
    import joblib

    # single-cell batches: a finished cell must not wait in a worker for its neighbours before it is stored
    parallel = joblib.Parallel(n_jobs=jobs, backend=backend, batch_size=1, return_as="generator_unordered")
    outcomes = parallel(joblib.delayed(_attempt)(task, i, cells[i]) for i in pending)
    with contextlib.closing(outcomes):
        for i, result, failure in outcomes:
            if result is None:
                raise CellError(failure)
            yield i, result


def _attempt(task: Task, i: int, cell: Cell) -> tuple[int, Result | None, str]:
    """Run one cell. A failure travels as text: it always pickles, and it cannot overtake finished cells."""
    try:
        return i, as_result(task(rng=np.random.default_rng(cell.seed), **cell.condition)), ""
    except Exception as error:
        problem = f"the cell ({cell}) failed with {type(error).__name__}: {error}"
        return i, None, f"{problem}\n\n{traceback.format_exc()}"


def _progress(total: int, done: int, shown: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=done, unit="cell", disable=not shown, dynamic_ncols=True)


def _check_task(task: Any, cell: Cell) -> None:
    if not callable(task):
        raise TypeError(f"task must be a function task(rng=..., **condition), got {type(task).__name__}")
    try:
        signature = inspect.signature(task)
    except ValueError:  # some compiled callables have none
        return
    try:
        signature.bind(rng=None, **cell.condition)
    except TypeError as error:
        expected = ", ".join(["rng", *cell.condition])
        raise TypeError(f"task must accept the keywords {expected}: {error}") from error
