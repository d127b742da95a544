"""Checks at public doors: an argument is refused with its name, what it held, and what was expected."""

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np


def instance_of(name: str, value: Any, kind: type) -> None:
    """Refuse an object of another kind, such as an MDP's name where the MDP itself is expected."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, got {value!r}")


def sequence(name: str, value: Any, of: str) -> list[Any]:
    """``value`` as a list; a string is not taken for a sequence of its letters."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a sequence of {of}, got {value!r}")
    return list(value)


# -- arrays ---------------------------------------------------------------------------------------------------


def rectangular(name: str, value: Any) -> np.ndarray:
    """``value`` as an array, or an error that names it: a ragged list, or a masked array with missing entries."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(f"{name} must have no masked entries; fill them before passing it")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array, got a ragged one ({error})") from None


def numbers(name: str, value: Any) -> np.ndarray:
    """``value`` as a rectangular array of real numbers, of any shape and possibly not finite."""
    array = rectangular(name, value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def real_array(name: str, value: Any, shape: Sequence[int | None], axes: str) -> np.ndarray:
    """``value`` as a fresh float64 array of the given shape (``None`` = any length).

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the shape differs or an entry is not finite.
    """
    array = numbers(name, value)
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape)):
        want = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape {axes} = [{want}], got {list(array.shape)}")
    array = np.array(array, dtype=np.float64, order="C")
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{name} must be finite, got {name}{list(where)} = {array[where]}")
    return array


def trailing(name: str, value: Any, shape: tuple[int, ...], axes: str) -> np.ndarray:
    """``value`` as an array of real numbers whose last axes have this shape, under any batch axes but empty ones."""
    array = numbers(name, value)
    if array.shape[-len(shape) :] != shape or array.size == 0:
        want = ", ".join(map(str, ("...", *shape)))
        raise ValueError(f"{name} must have shape {axes} = [{want}], got {list(array.shape)}")
    return array


def boolean_array(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` as a fresh boolean array of exactly this shape (0/1 integers are accepted)."""
    array = rectangular(name, value)
    if array.dtype.kind in "iu" and np.isin(array, (0, 1)).all():
        array = array.astype(bool)
    if array.dtype != np.bool_:
        raise TypeError(f"{name} must be boolean, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(array.shape)}")
    return array.copy()


def distribution(name: str, value: Any, size: int) -> np.ndarray:
    """``value`` as a probability vector [size]."""
    vector = real_array(name, value, (size,), "[S]")
    if (vector < 0).any():
        i = int(np.argmin(vector))
        raise ValueError(f"{name} must be non-negative, got {name}[{i}] = {vector[i]}")
    total = vector.sum()
    if abs(total - 1.0) > 1e-8:
        raise ValueError(f"{name} must sum to one, sums to {total:.10g} (off by {total - 1.0:+.3g})")
    return vector / total


def indices(name: str, value: Any, shape: Sequence[int | None], axes: str, low: int, high: int) -> np.ndarray:
    """``value`` as a fresh integer array of the given shape with entries low..high."""
    array = real_array(name, value, shape, axes)
    wrong = (array != np.rint(array)) | (array < low) | (array > high)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name} must hold integers {low}..{high}, got {name}{list(where)} = {array[where]:g}"
        )
    return array.astype(np.int64)


# -- scalars --------------------------------------------------------------------------------------------------


def real(name: str, value: Any) -> float:
    """``value`` as a float, possibly not finite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def finite(name: str, value: Any) -> float:
    """``value`` as a finite float."""
    number = real(name, value)
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    return number


def positive(name: str, value: Any) -> float:
    """``value`` as a positive, finite float."""
    number = real(name, value)
    if not 0.0 < number < np.inf:
        raise ValueError(f"{name} must be positive and finite, got {number}")
    return number


def non_negative(name: str, value: Any) -> float:
    """``value`` as a non-negative, finite float."""
    number = real(name, value)
    if not 0.0 <= number < np.inf:
        raise ValueError(f"{name} must be non-negative and finite, got {number}")
    return number


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool; a string such as "no" is not taken for true."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def discount_factor(value: Any, horizon: int | None) -> float:
    """The discount in [0, 1); 1 is allowed only under a finite horizon."""
    gamma = real("discount", value)
    if horizon is not None and gamma == 1.0:
        return gamma
    if not 0.0 <= gamma < 1.0:
        hint = "; an undiscounted problem needs a finite horizon: pass horizon=H" if gamma == 1.0 else ""
        raise ValueError(f"discount must be in [0, 1), got {gamma}{hint}")
    return gamma


def positive_integer(name: str, value: Any, least: int = 1) -> int:
    """``value`` as an int that is at least ``least``."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def index(name: str, value: Any, size: int) -> int:
    """``value`` as an int in 0..size-1."""
    number = positive_integer(name, value, 0)
    if number >= size:
        raise ValueError(f"{name} must be in 0..{size - 1}, got {number}")
    return number


def probability(name: str, value: Any) -> float:
    """``value`` as a float in [0, 1]."""
    number = real(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1], got {number}")
    return number
