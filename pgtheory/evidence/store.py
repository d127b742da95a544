"""One finished cell, one ``.npz`` file: what lets a run resume."""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pgtheory.evidence.atomic import write_atomic
from pgtheory.evidence.grid import Cell, Result

_LABEL = "cell"
_PREFIX = (
    "result_"  # keeps a result named "cell" or "file" apart from the label and from savez's own argument
)


class CorruptResultError(ValueError):
    """A stored cell cannot be read, or holds another cell than its name says."""


@dataclass(frozen=True)
class Store:
    """The cells of one task in one folder.

    Parameters
    ----------
    folder
        Where the files lie; may be shared by many tasks.
    identity
        From :func:`task_identity`; part of every cell's key.
    """

    folder: Path
    identity: str

    def path(self, cell: Cell) -> Path:
        """The file of a cell, named by the sha256 of the task's identity and the cell."""
        key = hashlib.sha256(f"{self.identity}\n{cell.label}".encode()).hexdigest()
        return self.folder / f"{key}.npz"

    def save(self, cell: Cell, result: Result) -> None:
        """Store a finished cell atomically; non-finite values are results like any other."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {_LABEL: np.array(cell.label)}
        arrays |= {_PREFIX + name: value for name, value in result.items()}
        np.savez(buffer, **arrays)
        write_atomic(self.path(cell), buffer.getvalue())

    def load(self, cell: Cell) -> Result | None:
        """The stored result of a cell, or None when there is none.

        Raises
        ------
        CorruptResultError
            When the file is truncated, damaged, or belongs to another cell.
        """
        path = self.path(cell)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                label = str(arrays[_LABEL])
                result = {name.removeprefix(_PREFIX): arrays[name] for name in arrays if name != _LABEL}
        except Exception as error:  # a damaged archive fails in a dozen ways, from BadZipFile to MemoryError
            raise CorruptResultError(_repair(path, cell, f"cannot be read ({error!r})")) from error
        if label != cell.label:
            raise CorruptResultError(_repair(path, cell, f"holds another cell, {label}"))
        return result

    def discard(self, cells: Iterable[Cell]) -> None:
        """Delete the stored results of these cells, if any."""
        for cell in cells:
            self.path(cell).unlink(missing_ok=True)


def task_identity(task: Callable[..., Any], version: str) -> str:
    """What a task is, as text: module, qualified name, source code and the caller's version salt.

    Raises
    ------
    ValueError
        When the task's behaviour depends on something its source does not show (captured variables, a
        ``partial``, an object, no source at all) and no ``version`` names it: stored cells of one such
        task could be taken for another's.
    """
    function: Any = task
    while isinstance(function, functools.partial):
        function = function.func
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    hidden = _hidden(task, source)
    if hidden and not version:
        raise ValueError(
            f"task {hidden}, which its stored cells could not show; pass version='...' naming what it holds, "
            "or write it as a plain function whose values come from conditions"
        )
    named = function if hasattr(function, "__qualname__") else type(function)
    return json.dumps([named.__module__, named.__qualname__, source, version])


def _hidden(task: Any, source: str) -> str:
    """Why the source does not say everything about the task; empty when it does."""
    if not inspect.isfunction(task):
        return f"is a {type(task).__name__} with values of its own"
    if task.__code__.co_freevars:
        return f"captures {', '.join(task.__code__.co_freevars)} from the function around it"
    return "" if source else "has no source code at hand"


def _repair(path: Path, cell: Cell, problem: str) -> str:
    return (
        f"the stored result '{path}' of the cell ({cell}) {problem}; delete that file or run with fresh=True"
    )
