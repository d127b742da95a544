"""Random MDPs: dense Dirichlet and sparse Garnet."""

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.registry import instance


@instance
def dirichlet(
    n_states: int = 5,
    n_actions: int = 3,
    concentration: float = 0.5,
    discount: float = 0.9,
    horizon: int | None = None,
    seed: int = 0,
) -> FiniteMDP:
    """A dense random MDP: symmetric Dirichlet rows, rewards uniform on [0, 1], uniform start."""
    n, k = validate.positive_integer("n_states", n_states), validate.positive_integer("n_actions", n_actions)
    rng = np.random.default_rng(validate.positive_integer("seed", seed, 0))
    P = rng.dirichlet(np.full(n, validate.positive("concentration", concentration)), size=(n, k))
    return FiniteMDP(P, rng.uniform(0, 1, (n, k)), discount, horizon=horizon, name="dirichlet")


@instance
def garnet(
    n_states: int = 100,
    n_actions: int = 4,
    branching: int = 5,
    discount: float = 0.95,
    reward_sparsity: float = 0.0,
    sparse: bool | None = None,
    seed: int = 0,
) -> FiniteMDP:
    """A Garnet (Archibald, McKinnon & Thomas 1995): every pair leads to a few random successors.

    Parameters
    ----------
    n_states, n_actions, branching : int
        Sizes and the number of distinct successors of each pair, with probabilities from uniform spacings.
    reward_sparsity : float
        Share of pairs with zero reward; the others are standard normal.
    sparse : bool, optional
        Store as CSR; by default where there are more than 200 states.
    """
    n, k = validate.positive_integer("n_states", n_states), validate.positive_integer("n_actions", n_actions)
    b = validate.positive_integer("branching", branching)
    if b > n:
        raise ValueError(f"branching must be at most n_states = {n}, got {b}")
    compressed = n > 200 if sparse is None else validate.flag("sparse", sparse)
    rng = np.random.default_rng(validate.positive_integer("seed", seed, 0))
    successors = _distinct(rng, n, n * k, b).reshape(n, k, b)
    cuts = np.sort(rng.uniform(size=(n, k, b - 1)), axis=-1)
    probabilities = np.diff(cuts, axis=-1, prepend=0.0, append=1.0)
    rewards = rng.standard_normal((n, k))
    rewards[rng.uniform(size=(n, k)) < validate.probability("reward_sparsity", reward_sparsity)] = 0.0
    mdp = FiniteMDP.from_successors(successors, probabilities, rewards, discount, name="garnet")
    return mdp if compressed else mdp.to_dense()


def _distinct(rng: np.random.Generator, n: int, rows: int, b: int) -> np.ndarray:
    """Rows of b distinct integers below n [rows, b]; repeated draws are drawn again, row by row."""
    if 2 * b > n:
        return np.stack([rng.permutation(n)[:b] for _ in range(rows)]).astype(np.int32)
    drawn = rng.integers(n, size=(rows, b), dtype=np.int32)
    redo = np.arange(rows)
    while len(redo):
        ordered = np.sort(drawn[redo], axis=1)
        redo = redo[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
        drawn[redo] = rng.integers(n, size=(len(redo), b), dtype=np.int32)
    return drawn
