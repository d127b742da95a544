"""The numbers behind a figure as text: how they are written, read back, and compared with fresh ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DIGITS = 10
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "figure": str,
    "caption": str,
    "rtol": (int, float),
    "atol": (int, float),
    "volatile": list,
    "data": dict,
}


def json_number(value: float) -> float | str:
    """A float at ten significant digits; JSON has no infinities or NaN, so these become "inf", "nan"."""
    if not math.isfinite(value):
        return str(float(value))
    rounded = float(f"{value:.{_DIGITS}g}")
    return rounded if math.isfinite(rounded) else value  # rounding up at the edge of the floats overflows


def load_numbers(path: str | Path) -> dict[str, Any]:
    """Read the numbers that :func:`pgtheory.evidence.figures.save` stored beside a figure.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is truncated, or is not the numbers of a figure.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, f"no stored numbers at '{path}'; run the notebook that makes this figure"
        ) from error
    fix = "run the notebook that makes this figure again"
    try:
        numbers = json.loads(text)
    except ValueError as error:
        raise ValueError(f"'{path}' is truncated or not JSON ({error}); {fix}") from error
    wrong = [
        name
        for name, kind in _FIELDS.items()
        if not isinstance(numbers, dict) or not isinstance(numbers.get(name), kind)
    ]
    if wrong or not all(isinstance(series, list) for series in numbers["data"].values()):
        raise ValueError(f"'{path}' does not hold a figure's numbers (check {wrong or ['data']}); {fix}")
    return numbers


def compare_numbers(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> list[str]:
    """Differences of fresh numbers from stored ones, beyond the *stored* tolerances; empty when none.

    Two numbers agree when ``|fresh - stored| <= atol + rtol * |stored|``; equal infinities and NaN agree.
    The values of the series that ``stored`` calls volatile (timings, say) are ignored; a series that
    appears, disappears or changes shape is a difference.

    Parameters
    ----------
    stored, fresh
        As :func:`load_numbers` returns them.
    """
    differences = []
    if stored["figure"] != fresh["figure"]:
        differences.append(f"figure {stored['figure']!r} compared with figure {fresh['figure']!r}")
    old, new = stored["data"], fresh["data"]
    differences += [
        f"series {name!r} is stored but not in the fresh numbers" for name in old if name not in new
    ]
    differences += [
        f"series {name!r} is fresh but not in the stored numbers" for name in new if name not in old
    ]
    for name in old:
        if name in new and name not in stored["volatile"]:
            differences += _differences(name, old[name], new[name], stored["rtol"], stored["atol"])
    return differences


def _differences(name: str, stored: list[Any], fresh: list[Any], rtol: float, atol: float) -> list[str]:
    old, new = _series(stored), _series(fresh)
    if old.shape != new.shape:
        return [f"series {name!r} has shape {new.shape}, stored {old.shape}"]
    if old.dtype.kind != new.dtype.kind:
        return [f"series {name!r} holds {_kind(new)}, stored {_kind(old)}"]
    if _kind(old) == "text":
        apart = old != new
        worst = np.unravel_index(np.argmax(apart), apart.shape) if apart.size else ()
        tolerance = ""
    else:
        apart = ~np.isclose(new, old, rtol=rtol, atol=atol, equal_nan=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = np.abs(new - old) / (atol + rtol * np.abs(old))
        # NaN here means a non-finite number on one side only: nothing is further apart
        excess = np.where(apart, np.nan_to_num(excess, nan=np.inf), -1.0)
        worst = np.unravel_index(np.argmax(excess), excess.shape) if excess.size else ()
        tolerance = f" beyond rtol={rtol:g}, atol={atol:g}"
    if not apart.any():
        return []
    at = ", ".join(str(int(i)) for i in worst)
    return [
        f"series {name!r} differs at [{at}]: fresh {new[worst]}, stored {old[worst]} "
        f"({int(apart.sum())} of {apart.size}{tolerance})"
    ]


def _series(values: list[Any]) -> np.ndarray:
    """A series as floats, or as strings when it holds any text but the names of non-finite numbers."""
    array = np.array(values, dtype=object)
    text = any(isinstance(v, str) and v not in ("nan", "inf", "-inf") for v in array.flat)
    return array.astype(str if text else float)


def _kind(series: np.ndarray) -> str:
    return "text" if series.dtype.kind == "U" else "numbers"
