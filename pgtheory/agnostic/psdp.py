r"""Policy search by dynamic programming (Bagnell, Kakade, Ng and Schneider 2003): backwards, one layer at a time.

Layer h takes the policy of the class that does best on states drawn from :math:`\mu_h` when all later layers are as
already chosen. The result is non-stationary and in general not in the class. For every policy π

.. math::
   V^\pi-V^{\hat\pi}\le C_{\rm conc}(\mu)\sum_h\mathbb
   E_{\mu_h}\big[\max_aQ^{\hat\pi}_h-Q^{\hat\pi}_h(x,\hat\pi)\big],

whose right side is small when the class is complete; without completeness errors can double in every layer
(:func:`pgtheory.agnostic.instances.error_amplifier`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.agnostic.access import MuReset
from pgtheory.agnostic.layered_mdp import Layers
from pgtheory.agnostic.observed import ObservedMDP, check_class
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.rollouts import follow
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class PSDPResult:
    """What PSDP chose.

    Attributes
    ----------
    policy : PolicyClass
        The one policy that it returns.
    chosen : int array [H]
        The policy of the class that each layer took.
    scores : array [H, n]
        What every policy of the class scored in each layer.
    episodes : int
        Played; 0 for exact expectations.
    """

    policy: PolicyClass
    chosen: np.ndarray
    scores: np.ndarray
    episodes: int


def psdp(access: MuReset, policies: PolicyClass, n: int, rng: np.random.Generator) -> PSDPResult:
    r"""PSDP from n episodes a layer, scored by :math:`\frac1n\sum A\,1\{\pi(x)=a\}\,G`, ties broken at random.

    Parameters
    ----------
    access : MuReset or HybridResets
    policies : PolicyClass
    n : int
        Episodes for each layer: a draw of :math:`\mu_h`, a uniform action, then the layers already chosen.
    rng : numpy.random.Generator
        The learner's own.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit.
    BudgetExhausted
        If fewer than n H episodes are left.
    """
    validate.instance_of("access", access, MuReset)
    check_class(policies, access.views, access.n_actions)
    n = validate.positive_integer("n", n)
    validate.instance_of("rng", rng, np.random.Generator)
    A, before = access.n_actions, access.spent.episodes
    tail = [np.zeros(v, np.int64) for v in access.views]
    chosen, scores = np.zeros(access.horizon, np.int64), np.zeros((access.horizon, len(policies)))
    for h in reversed(range(access.horizon)):
        x = access.reset(h, n)
        a = rng.integers(A, size=n)
        gain, after = access.step(x, a)
        if after is not None:
            gain = gain + follow(access, after, _alone(tail, A), np.zeros(n, np.int64))
        table = np.bincount(x.views * A + a, gain, access.views[h] * A).reshape(-1, A)
        scores[h] = A * _score(table, policies.actions[h]) / n
        chosen[h] = rng.choice(np.flatnonzero(scores[h] == scores[h].max()))
        tail[h] = policies.actions[h][chosen[h]]
    return PSDPResult(_alone(tail, A), chosen, scores, access.spent.episodes - before)


def exact_psdp(
    env: ObservedMDP, policies: PolicyClass, *, slack: Sequence[float] | None = None, atol: float = 1e-12
) -> PSDPResult:
    """PSDP with exact expectations in the place of episodes; ties go to the first policy.

    Parameters
    ----------
    env : ObservedMDP
        With reset distributions.
    policies : PolicyClass
    slack : sequence of H floats, optional
        Oracle errors: layer h takes the *worst* policy whose score is within its slack of the best. Zero by default.
    atol : float
        Scores this close are a tie.
    """
    validate.instance_of("env", env, ObservedMDP)
    env.check_class(policies)
    if env.resets is None:
        raise ValueError("env must have reset distributions for PSDP, got resets=None")
    mdp, H = env.mdp, env.mdp.horizon
    allowed = validate.real_array("slack", [0.0] * H if slack is None else slack, (H,), "[H]")
    if (allowed < 0).any():
        raise ValueError(f"slack must be non-negative, got {allowed.min():g}")
    latent = env.latent_policies(policies)
    chosen, scores, V = np.zeros(H, np.int64), np.zeros((H, len(policies))), None
    for h in reversed(range(H)):
        Q = mdp.lookahead(h, V)
        scores[h] = (latent[h] * Q).sum(-1) @ env.resets[h]
        good = scores[h] >= scores[h].max() - allowed[h] - atol
        taken = scores[h][good].min() if allowed[h] > 0 else scores[h].max()
        chosen[h] = np.flatnonzero(np.abs(scores[h] - taken) <= atol)[0]
        V = (latent[h][chosen[h]] * Q).sum(-1)
    tail = [policies.actions[h][chosen[h]] for h in range(H)]
    return PSDPResult(_alone(tail, mdp.n_actions), chosen, scores, 0)


def _score(table: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Sums [n] over views of a table [V, A] at the actions [n, V] of every policy."""
    return table[np.arange(len(table)), actions].sum(1)


def _alone(rows: Sequence[Any] | Layers, n_actions: int) -> PolicyClass:
    return PolicyClass([np.asarray(row)[None] for row in rows], n_actions, name="PSDP")
