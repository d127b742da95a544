"""Sampling trajectories of a finite MDP at compiled speed."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.threads import over_batch


@dataclass(frozen=True, eq=False)
class Trajectories:
    """n trajectories for each seed; what follows the end of an episode is zero.

    Attributes
    ----------
    states : int32 array [seeds, n, H]
    actions : int32 array [seeds, n, H]
    rewards : array [seeds, n, H]
    lengths : int32 array [seeds, n]
        Decisions taken: H, or fewer where a terminal state was reached.
    pi : array [seeds, S, A]
        The policies that acted.
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray
    pi: np.ndarray


class Sampler:
    """Draws trajectories of any stationary policies on one MDP.

    Successors are drawn from alias tables, built once, in constant time; actions from running sums of the
    policy's row. Rewards are those of the transition where the MDP has them, r(s, a) otherwise.
    """

    def __init__(self, mdp: FiniteMDP) -> None:
        from pgtheory.mdp import alias

        pairs = sparse.csr_array(mdp.pairs)
        per_step = mdp.transition_rewards
        if per_step is None:
            gain = np.repeat(mdp.r.ravel(), np.diff(pairs.indptr))
        else:
            rows = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
            flat = per_step if sparse.issparse(per_step) else per_step.reshape(pairs.shape)
            gain = np.asarray(flat[rows, pairs.indices], dtype=float).ravel()
        keep, other = np.empty(pairs.nnz), np.empty(pairs.nnz, np.int32)
        alias.build_rows(pairs.indptr, pairs.data, keep, other)
        start_keep, start_other = np.empty(mdp.n_states), np.empty(mdp.n_states, np.int32)
        alias.build(mdp.start, start_keep, start_other)
        self.mdp = mdp
        # Each entry beside its alias, so that a draw is one comparison and one look-up.
        alias_of = np.repeat(pairs.indptr[:-1], np.diff(pairs.indptr)) + other
        both = np.stack([np.arange(pairs.nnz), alias_of], axis=-1)
        after, gains = pairs.indices[both].astype(np.int32), gain[both]
        self._tables = (start_keep, start_other, pairs.indptr, keep, after, gains, mdp.terminal)

    def sample(self, pi: np.ndarray, keys: np.ndarray, n: int, horizon: int) -> Trajectories:
        """n trajectories of at most ``horizon`` decisions for each policy pi [seeds, S, A] and key [seeds]."""
        from pgtheory.mdp.sampling_kernels import sample_range

        shape = (len(pi), n, horizon)
        states, actions, rewards = np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape)
        lengths = np.empty(shape[:2], np.int32)
        work = 30.0 * n * horizon + 4.0 * pi[0].size
        over_batch(sample_range, len(pi), work, keys, pi, *self._tables, states, actions, rewards, lengths)
        return Trajectories(states, actions, rewards, lengths, pi)
