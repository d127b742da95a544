"""Layered MDPs out of finite MDPs and back."""

import itertools

import numpy as np

from pgtheory.agnostic.layered_mdp import LayeredMDP
from pgtheory.mdp import FiniteMDP, layered, validate


def to_finite(mdp: LayeredMDP) -> FiniteMDP:
    """The same MDP with states numbered layer by layer and one terminal state after the last (``mdp.layered``)."""
    validate.instance_of("mdp", mdp, LayeredMDP)
    return layered(mdp.transitions, mdp.rewards, mdp.start, name=mdp.name)


def from_finite(mdp: FiniteMDP) -> LayeredMDP:
    """The layers of a finite MDP whose states can be visited at one time only; ``mdp.unroll`` makes any MDP so.

    Raises
    ------
    TypeError, ValueError
        If ``mdp`` is discounted, forbids actions, or is not layered: a state that can be followed by the end and
        by another decision, a cycle, or a start state outside the first layer.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    if mdp.discount != 1.0 or not mdp.actions.all():
        raise ValueError(
            f"mdp must be undiscounted with all actions permitted, got discount {mdp.discount:g}"
            f"{'' if mdp.actions.all() else ' and forbidden actions'}"
        )
    P = mdp.to_dense().P
    states = _layers(P, mdp.terminal)
    off = np.setdiff1d(np.flatnonzero(mdp.start > 0), states[0])
    if len(off):
        raise ValueError(
            f"mdp must start in its first layer, got start probability on state {off[0]} of a later one"
        )
    if mdp.horizon is not None and mdp.horizon != len(states):
        raise ValueError(
            f"mdp must have as many layers as its horizon {mdp.horizon}, got {len(states)} layers"
        )
    steps = [P[s][..., after] for s, after in itertools.pairwise(states)]
    return LayeredMDP(mdp.start[states[0]], steps, [mdp.r[s] for s in states], name=mdp.name)


def _layers(P: np.ndarray, terminal: np.ndarray) -> list[np.ndarray]:
    """States of each layer, found backwards from those that end the episode."""
    leads = np.asarray((P > 0).any(axis=1))
    states: list[np.ndarray] = []
    after, left = terminal, ~terminal
    while left.any():
        inside = left & leads[:, after].any(axis=1)
        mixed = inside & leads[:, ~after].any(axis=1)
        if mixed.any():
            raise ValueError(
                f"mdp must be layered, but state {int(np.argmax(mixed))} can be followed by states of different layers"
            )
        if not inside.any():
            raise ValueError(
                f"mdp must be layered, but the episode never ends from state {int(np.argmax(left))}"
            )
        states.insert(0, np.flatnonzero(inside))
        after, left = inside, left & ~inside
    return states
