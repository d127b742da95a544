"""One row of numbers an update: kept in memory, in a file that survives a kill, and in TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory.mdp import validate

if TYPE_CHECKING:
    import xarray


class Metrics:
    """Rows of metrics, one a line of JSON; only complete lines count.

    Each row reaches the operating system before :meth:`add` returns, so killing the process loses none; a line
    that was torn all the same is dropped when the file is opened again. Numbers that are not finite are written
    as Python's ``json`` does, ``NaN`` and ``Infinity``.

    Parameters
    ----------
    path
        Of the file, such as ``metrics.jsonl``; None keeps the rows in memory only.
    resume_from
        The step of the checkpoint from which the run goes on: rows beyond it are cut, they will come again.
        Without it the file must not exist.

    Raises
    ------
    FileExistsError
        When there is a file and ``resume_from`` is None.
    ValueError
        When a complete line of the file is not a row, or steps do not grow.
    """

    def __init__(self, path: str | Path | None = None, *, resume_from: int | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._rows: list[dict[str, float]] = []
        self._steps: list[int] = []
        self._end = 0  # of the last complete line, in bytes
        if resume_from is not None:
            resume_from = validate.positive_integer("resume_from", resume_from, 0)
        if self._path is None:
            return
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        elif resume_from is None:
            raise FileExistsError(
                f"'{self._path}' holds metrics of an earlier run: pass resume_from=step to go on, or choose "
                "another folder"
            )
        else:
            self._read(self._path, resume_from)

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, row: Mapping[str, float]) -> None:
        """Append one row.

        Raises
        ------
        ValueError
            When ``step`` is not beyond the last one.
        TypeError
            When a value is not a number, such as a tensor (``value.item()`` is one).
        OSError
            When the file cannot be written; the rows are then as before, and so are the file's complete lines.
        """
        self._check(step)
        numbers = {str(key): validate.real(f"row[{key!r}]", value) for key, value in row.items()}
        if "step" in numbers:
            raise ValueError("row must not have a key 'step': that is the first argument")
        if self._path is not None:
            line = (json.dumps({"step": int(step), **numbers}) + "\n").encode()
            with self._path.open("rb+") as file:
                file.truncate(self._end)  # what an earlier write that failed has left
                file.seek(self._end)
                file.write(line)
            self._end += len(line)
        self._steps.append(int(step))
        self._rows.append(numbers)

    def to_xarray(self) -> xarray.Dataset:
        """One float64 variable a key, dimension ``step``; NaN where a row lacks the key."""
        import xarray

        keys = dict.fromkeys(key for row in self._rows for key in row)
        columns = {key: ("step", np.array([row.get(key, np.nan) for row in self._rows])) for key in keys}
        return xarray.Dataset(columns, coords={"step": np.array(self._steps, dtype=np.int64)})

    def _check(self, step: int) -> None:
        validate.positive_integer("step", step, 0)
        if self._steps and step <= self._steps[-1]:
            raise ValueError(f"step must be beyond the last one, {self._steps[-1]}, got {step}")

    def _read(self, path: Path, last: int) -> None:
        """Take the rows up to a step and cut the file behind them."""
        *lines, _torn = path.read_bytes().split(b"\n")
        for i, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                step = row.pop("step")
                self._check(step)
                if step > last:
                    break
                self._rows.append({key: validate.real(key, value) for key, value in row.items()})
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise ValueError(
                    f"line {i} of '{path}' is not a row of metrics ({error!r}): remove the line, or move the file away"
                ) from error
            self._steps.append(step)
            self._end += len(line) + 1
        os.truncate(path, self._end)


class TensorBoard:
    """Writes rows of metrics as TensorBoard scalars, tagged with their keys. A context manager.

    Parameters
    ----------
    folder
        Where the event files go.
    wanted
        True: refuse to start without the ``tensorboard`` package. None: write if it is installed, and do
        nothing otherwise. False: do nothing.
    resume_from
        The step from which a run goes on: TensorBoard then hides what an interrupted run wrote beyond it.

    Raises
    ------
    ImportError
        When the writer is wanted and the package is missing.
    """

    def __init__(
        self, folder: str | Path, *, wanted: bool | None = True, resume_from: int | None = None
    ) -> None:
        self._writer: Any = None
        if wanted is False:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            if wanted:
                problem = "writing for TensorBoard needs its package: python -m pip install tensorboard"
                raise ImportError(f"{problem} ({error})") from error
            return
        purge = None if resume_from is None else resume_from + 1
        self._writer = SummaryWriter(str(folder), purge_step=purge)

    def add(self, step: int, row: Mapping[str, float]) -> None:
        """Write one row and hand it to the operating system."""
        if self._writer is None:
            return
        for key, value in row.items():
            self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Finish the event file."""
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
