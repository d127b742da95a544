"""The grid of an experiment: conditions × seeds, and the dataset that its results become."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

Scalar = str | int | float | bool
Result = dict[str, np.ndarray]
_KINDS: tuple[tuple[type, ...], ...] = ((bool,), (int, float), (str,))


@dataclass(frozen=True)
class Cell:
    """One point of the grid: a condition and a seed."""

    condition: Mapping[str, Scalar]
    seed: int

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in {**self.condition, "seed": self.seed}.items())

    @property
    def label(self) -> str:
        """The cell as canonical JSON, in which floats round-trip exactly."""
        return json.dumps({"condition": dict(self.condition), "seed": self.seed}, sort_keys=True)


@dataclass(frozen=True)
class Grid:
    """Every combination of the conditions' values, once per seed.

    Parameters
    ----------
    conditions
        Name → distinct values, all strings, all booleans or all numbers.
    seeds
        Distinct non-negative integers.
    dims
        Names for the axes of array results, by result; ``<result>_dim0``, … where absent.
    """

    conditions: dict[str, list[Scalar]]
    seeds: list[int]
    dims: dict[str, tuple[str, ...]]

    @classmethod
    def checked(cls, conditions: Any, seeds: Any, dims: Any) -> Grid:
        """The grid of a user's arguments; ValueError or TypeError names the one that does not fit."""
        if not isinstance(conditions, Mapping):
            raise TypeError(f"conditions must map names to lists of values, got {type(conditions).__name__}")
        axes = {name: _check_values(_check_name(name), values) for name, values in conditions.items()}
        if not isinstance(dims, Mapping) or any(isinstance(names, str) for names in dims.values()):
            raise TypeError(
                f"dims must map results to tuples of names such as {{'error': ('t',)}}, got {dims!r}"
            )
        return cls(axes, _check_seeds(seeds), {name: tuple(names) for name, names in dims.items()})

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The dataset's leading dimensions in order: the conditions, then ``seed``."""
        return {**self.conditions, "seed": self.seeds}

    def cells(self) -> list[Cell]:
        """Every cell, the last condition and the seed varying fastest."""
        names = list(self.conditions)
        points = itertools.product(*self.axes.values())
        return [Cell(dict(zip(names, point)), point[-1]) for point in points]

    def result_dims(self, name: str, ndim: int) -> tuple[str, ...]:
        """Dimension names of one result's own axes."""
        return self.dims.get(name, tuple(f"{name}_dim{i}" for i in range(ndim)))

    def check_names(self, result: Result) -> None:
        """Refuse results whose names or axes would collide with the grid's, or that ``dims`` mistakes."""
        if unknown := self.dims.keys() - result.keys():
            raise ValueError(f"dims names {sorted(unknown)}, but the task returned {sorted(result)}")
        for name, value in result.items():
            names = self.result_dims(name, value.ndim)
            if len(names) != value.ndim:
                raise ValueError(
                    f"dims[{name!r}] = {names} names {len(names)} axes; the result has {value.ndim}"
                )
            if name in (*self.axes, *names) or len({*self.axes, *names}) != len(self.axes) + len(names):
                raise ValueError(
                    f"result {name!r} with axes {names} collides with the dimensions {tuple(self.axes)}: "
                    "every dimension and result needs a name of its own"
                )

    def dataset(self, results: Sequence[Result]) -> xarray.Dataset:
        """Arrange the results of :meth:`cells`, in that order, as one labelled dataset."""
        import xarray

        lengths = [len(values) for values in self.axes.values()]
        variables = {}
        for name, first in results[0].items():
            stacked = np.stack([result[name] for result in results]).reshape(*lengths, *first.shape)
            variables[name] = ((*self.axes, *self.result_dims(name, first.ndim)), stacked)
        return xarray.Dataset(variables, coords={name: np.asarray(v) for name, v in self.axes.items()})


def check_alike(cell: Cell, result: Result, other: Cell, reference: Result) -> None:
    """Refuse two cells whose results differ in names or shapes."""
    shapes, expected = ({name: value.shape for name, value in r.items()} for r in (result, reference))
    if shapes != expected:
        raise ValueError(
            f"every cell must return the same names and shapes, but the cell ({cell}) returned {shapes} "
            f"and the cell ({other}) returned {expected}"
        )


def as_result(value: Any) -> Result:
    """What a task returned, as arrays of its own; TypeError when it is not names → real numbers."""
    if not isinstance(value, Mapping) or not value:
        raise TypeError(f"the task must return a non-empty mapping of names to numbers, got {value!r}")
    result = {}
    for name, entry in value.items():
        # a copy, since a task may go on using the array that it returned
        result[name] = array = np.array(entry)
        if not isinstance(name, str) or not name.isidentifier():
            raise TypeError(f"result names must be identifiers such as 'error', got {name!r}")
        if array.dtype.kind not in "biuf":
            raise TypeError(f"result {name!r} must hold real numbers, got dtype {array.dtype}")
    return result


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier() or name in ("seed", "rng"):
        raise ValueError(f"condition names must be identifiers other than 'seed' and 'rng', got {name!r}")
    return name


def _check_values(name: str, values: Any) -> list[Scalar]:
    if not isinstance(values, list | tuple | range | np.ndarray):
        raise TypeError(
            f"conditions[{name!r}] must be a list of values, got {values!r}; write [{values!r}] for one"
        )
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not any(all(type(value) in kinds for value in plain) for kinds in _KINDS):
        raise TypeError(f"conditions[{name!r}] must be all str, all bool or all int and float, got {plain!r}")
    if not plain or len(set(plain)) < len(plain) or any(value != value for value in plain):
        raise ValueError(
            f"conditions[{name!r}] must hold distinct values, at least one and no NaN, got {plain!r}"
        )
    return plain


def _check_seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        seeds = range(int(seeds))
    if not isinstance(seeds, list | tuple | range | np.ndarray):
        raise TypeError(f"seeds must be a list of integers or a number of seeds, got {seeds!r}")
    plain = [seed.item() if isinstance(seed, np.generic) else seed for seed in seeds]
    if any(type(seed) is not int for seed in plain):
        raise TypeError(f"seeds must be integers, got {plain!r}")
    if not plain or len(set(plain)) < len(plain) or not all(0 <= seed < 2**63 for seed in plain):
        raise ValueError(f"seeds must be distinct, non-negative and at least one, got {plain!r}")
    return plain
