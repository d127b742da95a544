"""What the door of ``FiniteMDP`` checks: every array is refused with its name, what it held, and the fix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

ROW_SUM_TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float16): 1e-2}


def real_array(name: str, value: Any, shape: Sequence[int | None], axes: str) -> np.ndarray:
    """``value`` as a fresh float64 array of the given shape (``None`` = any length).

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the shape differs or an entry is not finite.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array {axes}, got a ragged one ({error})") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape)):
        want = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape {axes} = [{want}], got {list(array.shape)}")
    array = np.array(array, dtype=np.float64, order="C")
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{name} must be finite, got {name}{list(where)} = {array[where]}")
    return array


def boolean_array(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` as a fresh boolean array of exactly this shape (0/1 integers are accepted)."""
    array = np.asarray(value)
    if array.dtype.kind in "iu" and np.isin(array, (0, 1)).all():
        array = array.astype(bool)
    if array.dtype != np.bool_:
        raise TypeError(f"{name} must be boolean, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(array.shape)}")
    return array.copy()


def discount_factor(value: Any, horizon: int | None) -> float:
    """The discount in [0, 1); 1 is allowed only under a finite horizon."""
    if isinstance(value, bool | np.bool_) or not np.isscalar(value) or not np.isreal(value):
        raise TypeError(f"discount must be a number, got {value!r}")
    gamma = float(np.real(value))
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


def probability(name: str, value: Any) -> float:
    """``value`` as a float in [0, 1]."""
    number = float(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1], got {number}")
    return number


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


def n_actions_of(P: Any, rewards: Any) -> int:
    """The number of actions that a sparse transition matrix [S·A, S] implies."""
    rows, states = P.shape
    if states == 0 or rows == 0:
        raise ValueError("P must have at least one state and one action, got an empty state set")
    if rows % states:
        raise ValueError(
            f"sparse P must have shape [S*A, S], got {list(P.shape)}: {rows} is no multiple of {states}"
        )
    actions = rows // states
    shape: tuple[int, ...] = () if sparse.issparse(rewards) else np.shape(rewards)
    if len(shape) >= 2 and shape[1] != actions:
        raise ValueError(
            f"rewards must have shape [S, A] = [{states}, {actions}] to match sparse P {list(P.shape)}, "
            f"got {list(shape)}"
        )
    return actions


def sparse_pairs(P: Any) -> sparse.csr_array:
    """A fresh canonical CSR array [S·A, S] of float64 (duplicates summed, columns sorted)."""
    if P.dtype.kind not in "iuf":
        raise TypeError(f"P must hold real numbers, got dtype {P.dtype}")
    P = P if P.format in ("csr", "coo") else P.tocoo()
    columns = P.indices if P.format == "csr" else P.col
    if len(columns) and (columns.min() < 0 or columns.max() >= P.shape[1]):
        bad = columns.max() if columns.max() >= P.shape[1] else columns.min()
        raise ValueError(
            f"P points to state {bad}, but there are only {P.shape[1]} states (0..{P.shape[1] - 1})"
        )
    pairs = sparse.csr_array(P, dtype=np.float64, copy=True)
    try:
        pairs.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"P is not a valid CSR array: {error}") from None
    pairs.sum_duplicates()
    finite = np.isfinite(pairs.data)
    if not finite.all():
        row = _row_of(pairs, int(np.argmin(finite)))
        raise ValueError(
            f"P must be finite, got {pairs.data[np.argmin(finite)]} in row {row} (state-action pair)"
        )
    return pairs


def rows_sum_to_one(pairs: Any, needed: np.ndarray, tolerance: float) -> Any:
    """Check non-negativity and row sums of the needed pairs [S, A]; return rows normalised to rounding.

    Raises
    ------
    ValueError
        Naming the worst row as (state, action), its sum, and by how much it misses one.
    """
    n_actions = needed.shape[1]
    data = pairs.data if sparse.issparse(pairs) else pairs
    if data.size and data.min() < 0:
        flat = int(np.argmin(data))
        row = _row_of(pairs, flat) if sparse.issparse(pairs) else flat // pairs.shape[1]
        s, a = divmod(row, n_actions)
        raise ValueError(f"P must be non-negative, got {data.min():.6g} in row (state {s}, action {a})")
    sums = np.asarray(pairs.sum(axis=1)).ravel()
    off = np.where(needed.ravel(), np.abs(sums - 1.0), 0.0)
    worst = int(np.argmax(off))
    if off[worst] > tolerance:
        s, a = divmod(worst, n_actions)
        others = int((off > tolerance).sum()) - 1
        more = f"; {others} more rows are off" if others else ""
        raise ValueError(
            f"rows of P must sum to one: row (state {s}, action {a}) sums to {sums[worst]:.10g}, "
            f"off by {sums[worst] - 1.0:+.3g}{more}"
        )
    if off[worst] > 4 * np.finfo(float).eps:
        scale = np.where(needed.ravel(), 1.0 / np.where(sums > 0, sums, 1.0), 1.0)
        if sparse.issparse(pairs):
            pairs.data *= np.repeat(scale, np.diff(pairs.indptr))
        else:
            pairs *= scale[:, None]
    return pairs


def _row_of(pairs: sparse.csr_array, position: int) -> int:
    return int(np.searchsorted(pairs.indptr, position, side="right") - 1)
