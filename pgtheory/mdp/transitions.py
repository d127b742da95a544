"""What the door of ``FiniteMDP`` checks about transitions: sparse structure, signs, and sums of rows."""

from typing import Any

import numpy as np
from scipy import sparse

from pgtheory.mdp import validate

_TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float16): 1e-2}


def row_sum_tolerance(P: Any) -> float:
    """How far sums of rows may be from one: what rounding to the caller's precision can do."""
    return _TOLERANCE.get(getattr(P, "dtype", None), 1e-8)


def pairs_of(P: Any, rewards: Any) -> tuple[Any, int, int]:
    """A fresh matrix [S*A, S], dense or CSR as ``P`` is, and the numbers of states and actions."""
    if sparse.issparse(P):
        pairs = csr("P", P)
        return pairs, pairs.shape[1], _n_actions(pairs, rewards)
    array = validate.real_array("P", P, (None, None, None), "[S, A, S]")
    if array.size == 0:
        raise ValueError("P must have at least one state and one action, got an empty state set")
    n_states, n_actions, n_successors = array.shape
    if n_successors != n_states:
        raise ValueError(f"P must have shape [S, A, S], got {list(array.shape)}: first and last differ")
    return array.reshape(n_states * n_actions, n_states), n_states, n_actions


def _n_actions(P: Any, rewards: Any) -> int:
    """The number of actions that a sparse transition matrix [S*A, S] implies."""
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


def csr(name: str, value: Any) -> sparse.csr_array:
    """A SciPy sparse matrix as a fresh canonical CSR array of float64 (duplicates summed, columns sorted).

    Indices are checked before anything is converted: SciPy's conversions trust them, and write out of bounds.

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the matrix is malformed or an entry is not finite.
    """
    if value.dtype.kind not in "iuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    if value.ndim != 2:
        raise ValueError(f"sparse {name} must have shape [S*A, S], got {list(value.shape)}")
    if value.format == "csr" and len(value.indices):
        low, high, n = value.indices.min(), value.indices.max(), value.shape[1]
        if low < 0 or high >= n:
            bad = high if high >= n else low
            raise ValueError(f"{name} points to state {bad}, but there are only {n} states (0..{n - 1})")
    compressed = value.format in ("csr", "csc", "bsr")
    try:
        own = value.copy() if compressed else value.tocoo(copy=True)
        if compressed:
            own.check_format(full_check=True)
            if (np.diff(own.indptr) < 0).any():
                raise ValueError("indptr must be a non-decreasing sequence")
        array = sparse.csr_array(own, dtype=np.float64)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{name} is not a valid {value.format.upper()} array: {error}") from None
    array.sum_duplicates()
    finite = np.isfinite(array.data)
    if not finite.all():
        worst = int(np.argmin(finite))
        row = _row_of(array, worst)
        raise ValueError(f"{name} must be finite, got {array.data[worst]} in row {row} (state-action pair)")
    return array


def rows_sum_to_one(pairs: Any, needed: np.ndarray, tolerance: float, name: str = "P") -> Any:
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
        raise ValueError(f"{name} must be non-negative, got {data.min():.6g} in row (state {s}, action {a})")
    with np.errstate(over="ignore"):
        sums = np.asarray(pairs.sum(axis=1)).ravel()
    off = np.where(needed.ravel(), np.abs(sums - 1.0), 0.0)
    worst = int(np.argmax(off))
    if off[worst] > tolerance:
        s, a = divmod(worst, n_actions)
        others = int((off > tolerance).sum()) - 1
        more = f"; {others} more rows are off" if others else ""
        raise ValueError(
            f"rows of {name} must sum to one: row (state {s}, action {a}) sums to {sums[worst]:.10g}, "
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
