"""Thousands of PSDP runs at once, with any number of episodes, where returns are zero or one.

A run enters PSDP's scores only through counts: how often a view was drawn, an action taken there, and a return
of 1 seen. These are multinomial and binomial, so that a run of 100 000 episodes a layer costs as much as one of
ten.
"""

from __future__ import annotations

import numpy as np

from pgtheory.agnostic.layered_mdp import Layers
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate


def psdp_runs(
    env: ObservedMDP, policies: PolicyClass, n: int, runs: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The law of :func:`pgtheory.agnostic.psdp.psdp`, drawn many times without playing episodes.

    Parameters
    ----------
    env : ObservedMDP
        With reset distributions and Bernoulli rewards of which an episode pays at most one: after a pair that can
        pay, nothing more can be earned.
    policies : PolicyClass
    n, runs : int
        Episodes a layer, and independent runs.
    rng : numpy.random.Generator

    Returns
    -------
    values : array [runs]
        Exact value of the policy that each run returns.
    chosen : int array [runs, H]
        The policy of the class that each layer took, the first of those that play alike there.

    Raises
    ------
    ValueError
        If returns can be anything but 0 or 1, besides arguments that do not fit.
    """
    validate.instance_of("env", env, ObservedMDP)
    env.check_class(policies)
    resets = _check(env)
    n, runs = validate.positive_integer("n", n), validate.positive_integer("runs", runs)
    mdp, latent = env.mdp, env.latent_policies(policies)
    chosen, V = np.zeros((runs, mdp.horizon), np.int64), None
    for h in reversed(range(mdp.horizon)):
        Q = np.broadcast_to(mdp.lookahead(h, V), (runs, *mdp.rewards[h].shape)).clip(0.0, 1.0)
        wins = _wins(n, resets[h], env.emissions[h], Q, rng)
        rows, first, many = np.unique(policies.actions[h], axis=0, return_index=True, return_counts=True)
        score = wins[:, np.arange(wins.shape[1]), rows].sum(-1)  # [runs, rows], integers
        # a tie is tossed among policies: of m that play alike the luckiest is the largest of m uniform numbers
        luck = rng.uniform(size=score.shape) ** (1 / many)
        chosen[:, h] = first[(score + luck / 2).argmax(1)]
        V = (latent[h][chosen[:, h]] * Q).sum(-1)
    assert V is not None  # there is at least one layer
    return V @ mdp.start, chosen


def _wins(
    n: int, reset: np.ndarray, emission: np.ndarray, Q: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Returns of 1 by view and action [runs, V, A] among n episodes of each run."""
    runs, S, A = Q.shape
    joint = np.broadcast_to((reset[:, None] * emission)[..., None] / A, (S, emission.shape[1], A))
    drawn = rng.multinomial(n, joint.ravel() / joint.sum(), runs).reshape(runs, *joint.shape)
    return rng.binomial(drawn, Q[:, :, None, :]).sum(1)


def _check(env: ObservedMDP) -> Layers:
    if env.resets is None:
        raise ValueError("env must have reset distributions for PSDP, got resets=None")
    V, _ = env.mdp.optimal()
    pays = [r > 0 for r in env.mdp.rewards]
    more = [((P * (later > 0)).sum(-1) > 0) & pay for P, later, pay in zip(env.mdp.transitions, V[1:], pays)]
    if not env.bernoulli or any(x.any() for x in more):
        raise ValueError(
            "env must have Bernoulli rewards of which an episode pays at most one, so that returns are 0 or 1; "
            "use psdp with an access object otherwise"
        )
    return env.resets
