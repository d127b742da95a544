"""One stored form for every MDP: terminal loops, empty forbidden rows, expected rewards, read-only arrays."""

from typing import Any

import numpy as np
from scipy import sparse

from pgtheory.mdp import transitions, validate


def close_terminal_states(pairs: Any, ended: np.ndarray, permitted: np.ndarray) -> Any:
    """Terminal states loop on themselves; forbidden pairs lead nowhere."""
    n_states, n_actions = permitted.shape
    if ended.any():
        rows = np.flatnonzero(np.repeat(ended, n_actions))
        block = pairs[rows]
        block = block.toarray() if sparse.issparse(block) else block.copy()
        own = rows // n_actions
        block[np.arange(len(rows)), own] = 0.0
        if block.any():
            i = int(np.argmax(block.any(axis=1)))
            raise ValueError(
                f"terminal state {own[i]} must not lead elsewhere, but P goes to state {int(np.argmax(block[i]))}"
            )
    clear = np.repeat(ended, n_actions) | ~(permitted.ravel())
    if not clear.any():
        return pairs
    if not sparse.issparse(pairs):
        pairs[clear] = 0.0
        loops = np.flatnonzero(np.repeat(ended, n_actions))
        pairs[loops, loops // n_actions] = 1.0
        return pairs
    kept = pairs.multiply(~clear[:, None]).tocsr()
    loops = np.flatnonzero(np.repeat(ended, n_actions))
    added = sparse.csr_array((np.ones(len(loops)), (loops, loops // n_actions)), shape=pairs.shape)
    closed = sparse.csr_array(kept + added)
    closed.eliminate_zeros()
    return closed


def expected_rewards(rewards: Any, pairs: Any, permitted: np.ndarray) -> tuple[np.ndarray, Any]:
    """Expected rewards [S, A] and, where rewards were given per transition, those too (stored like P)."""
    n_states, n_actions = permitted.shape
    if sparse.issparse(rewards):
        if not sparse.issparse(pairs):
            raise TypeError("rewards may be sparse only beside a sparse P, got a dense P")
        if rewards.shape != pairs.shape:
            raise ValueError(
                f"rewards must have shape {list(pairs.shape)} like sparse P, got {list(rewards.shape)}"
            )
        per_step = transitions.csr("rewards", rewards)
        r = np.asarray(per_step.multiply(pairs).sum(axis=1)).reshape(n_states, n_actions)
        return np.where(permitted, r, 0.0), per_step
    if rewards.ndim == 3:
        per_step = validate.real_array("rewards", rewards, (n_states, n_actions, n_states), "[S, A, S]")
        if sparse.issparse(pairs):
            per_step = sparse.csr_array(pairs.sign().multiply(per_step.reshape(pairs.shape)))
            r = np.asarray(per_step.multiply(pairs).sum(axis=1)).reshape(n_states, n_actions)
        else:
            r = np.einsum("sat,sat->sa", pairs.reshape(per_step.shape), per_step)
        return np.where(permitted, r, 0.0), per_step
    r = validate.real_array("rewards", rewards, (n_states, n_actions), "[S, A]")
    return np.where(permitted, r, 0.0), None


def refuse_overflow(r: np.ndarray, discount: float, horizon: int | None) -> None:
    """Refuse rewards whose sums over an episode leave the range of floating-point numbers."""
    decisions = 1.0 / (1.0 - discount) if discount < 1.0 else float(horizon or 1)
    largest = float(np.abs(r).max())
    if 4.0 * largest * decisions == np.inf:
        raise ValueError(
            f"rewards must be small enough for values to stay finite, got {largest:.3g} over {decisions:.3g} decisions"
        )


def freeze(*arrays: Any) -> None:
    """Make arrays and the parts of CSR arrays read-only."""
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
        elif sparse.issparse(array):
            for part in (array.data, array.indices, array.indptr):
                part.flags.writeable = False
