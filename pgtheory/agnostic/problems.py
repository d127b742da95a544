"""Problems on which algorithms are compared: random ones, and a walk between special states."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.agnostic.layered_mdp import LayeredMDP
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate

SPECIAL, ORDINARY = range(2)


def random_tabular(
    states: int,
    horizon: int,
    rng: np.random.Generator,
    *,
    n_actions: int = 2,
    concentration: float = 0.3,
    deterministic: bool = False,
) -> ObservedMDP:
    """Dirichlet start and transitions (or uniform single successors), Bernoulli rewards of uniform means at the end."""
    S, H = validate.positive_integer("states", states), validate.positive_integer("horizon", horizon)
    A, c = (
        validate.positive_integer("n_actions", n_actions),
        validate.positive("concentration", concentration),
    )
    validate.instance_of("rng", rng, np.random.Generator)
    start = rng.dirichlet(np.full(S, c))
    P = rng.dirichlet(np.full(S, c), (H - 1, S, A))
    if deterministic:
        start, P = np.eye(S)[0], np.eye(S)[rng.integers(S, size=(H - 1, S, A))]
    rewards = np.zeros((H, S, A))
    rewards[-1] = rng.random((S, A))
    return ObservedMDP.tabular(LayeredMDP(start, list(P), list(rewards), name="random tabular"))


def special_walk(secret: Any, *, stay: float = 0.9, back: float = 0.15) -> ObservedMDP:
    """One special state a layer, that the secret action keeps; everything else is seen once and never again.

    View 0 is the special state, with a label of its own; view 1 is anything ordinary, with fresh labels. From
    special the secret action leads to special with probability ``stay``, the other one never; from ordinary
    action 0 leads there with probability ``back``. The reward is 1 for the secret action at the last special
    state. The start is special.
    """
    b = validate.indices("secret", secret, (None,), "[H]", 0, 1)
    stay, back = validate.probability("stay", stay), validate.probability("back", back)
    if not len(b):
        raise ValueError("secret must hold at least one action, got none")
    P = np.zeros((len(b) - 1, 2, 2, 2))
    P[:, ORDINARY, 0, SPECIAL] = back
    for h, a in enumerate(b[:-1]):
        P[h, SPECIAL, a, SPECIAL] = stay
    P[..., ORDINARY] = 1 - P[..., SPECIAL]
    rewards = np.zeros((len(b), 2, 2))
    rewards[-1, SPECIAL, b[-1]] = 1.0
    mdp = LayeredMDP([1.0, 0.0], list(P), list(rewards), name="special walk")
    return ObservedMDP(mdp, [np.eye(2)] * len(b), fresh=[[False, True]] * len(b))


def context_block(
    states: int, horizon: int, contexts: int, rng: np.random.Generator, *, n_actions: int = 2
) -> ObservedMDP:
    """A random block MDP: fresh observations with a uniform context each, on which policies act.

    Dirichlet(.3) latent dynamics from a fixed latent state; last-layer means from {.05, .5, .95}; uniform resets.
    """
    S, H = validate.positive_integer("states", states), validate.positive_integer("horizon", horizon)
    C, A = (
        validate.positive_integer("contexts", contexts),
        validate.positive_integer("n_actions", n_actions),
    )
    validate.instance_of("rng", rng, np.random.Generator)
    P = rng.dirichlet(np.full(S, 0.3), (H - 1, S, A))
    rewards = np.zeros((H, S, A))
    rewards[-1] = rng.choice([0.05, 0.5, 0.95], (S, A))
    mdp = LayeredMDP(np.eye(S)[0], list(P), list(rewards), name="context block")
    return ObservedMDP(mdp, [np.full((S, C), 1 / C)] * H, resets=[np.full(S, 1 / S)] * H)


def random_class(
    views: int, horizon: int, n: int, rng: np.random.Generator, *, n_actions: int = 2
) -> PolicyClass:
    """Uniformly random tables, n of them less those that repeat."""
    shape = (
        validate.positive_integer("n", n),
        validate.positive_integer("horizon", horizon),
        validate.positive_integer("views", views),
    )
    table = rng.integers(validate.positive_integer("n_actions", n_actions), size=shape)
    return PolicyClass(list(table.swapaxes(0, 1)), n_actions, name="random tables")
