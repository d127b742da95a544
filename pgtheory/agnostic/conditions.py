"""What a class may be assumed to contain, given the MDP: how far realizability and completeness are from holding.

Every gap is zero, up to rounding, exactly where the condition holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pgtheory.agnostic.coverage import check_resets
from pgtheory.agnostic.layered_mdp import LayeredMDP
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate

_CHUNK = 1 << 22
"""Scores held at once where every policy is compared with every other."""


def realizability_gap(policies: PolicyClass, mdp: LayeredMDP, *, everywhere: bool = False) -> float:
    r"""How far the class is from containing an optimal policy.

    From the start: :math:`V^\star-\max_\Pi V^\pi`. With ``everywhere``, the all-state form: the smallest over the
    class of :math:`\max_{h,s}\{V^\star_h(s)-Q^\star_h(s,\pi(s))\}`, zero if some policy is greedy for
    :math:`Q^\star` in every state, those included that are not reached from the start.
    """
    _check(policies, mdp)
    V, Q = mdp.optimal()
    if not validate.flag("everywhere", everywhere):
        return float(V[0] @ mdp.start - mdp.values(policies.actions).max())
    worst = np.zeros(len(policies))
    for v, q, table in zip(V, Q, policies.actions):
        loss = v[:, None] - q
        worst = np.maximum(worst, loss[np.arange(len(v)), table].max(-1))
    return float(worst.min())


def completeness_gap(
    policies: PolicyClass, mdp: LayeredMDP, mu: Sequence[Any], *, joint: bool = False
) -> float:
    r"""How far the class is from being closed under policy improvement, in the average over ``mu``.

    Layer-wise, which PSDP uses: the largest over :math:`\tilde\pi\in\Pi` and layers of
    :math:`\mathbb E_{\mu_h}[\max_aQ^{\tilde\pi}(s,a)]-\max_{\pi\in\Pi}\mathbb E_{\mu_h}[Q^{\tilde\pi}(s,\pi(s))]`.
    ``joint``, which CPI uses: one :math:`\pi` for the sum over layers.

    Parameters
    ----------
    policies, mdp
        A class and an MDP on the same states.
    mu : sequence of H arrays [S_h]
        Distribution of resets at each layer.
    joint : bool
        Layer-wise if False.
    """
    _check(policies, mdp)
    given = check_resets(mdp, mu)
    if given[0].ndim == 2:
        raise ValueError("mu must be over states, H arrays [S_h], got arrays [S_h, A]")
    joint = validate.flag("joint", joint)
    Q = mdp.evaluate(policies.actions).Q
    best = np.stack([(m * q.max(-1)).sum(-1) for m, q in zip(given, Q)])  # [H, n]
    if not joint:
        each = [_attained(m, q, np.unique(t, axis=0)).max(-1) for m, q, t in zip(given, Q, policies.actions)]
        return float((best - np.stack(each)).max())
    rows = max(1, _CHUNK // len(policies))
    gaps = []
    for i in range(0, len(policies), rows):
        part = slice(i, i + rows)
        total = sum(_attained(m, q[part], t) for m, q, t in zip(given, Q, policies.actions))
        gaps.append((best[:, part].sum(0) - np.max(total, -1)).max())
    return float(max(gaps))


def _attained(mu: np.ndarray, Q: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Average action values [n, m] of n policies' Q [n, S, A] under the actions [m, S] of m others."""
    S, A = Q.shape[1:]
    plays = (table[..., None] == np.arange(A)).reshape(len(table), S * A)
    return (mu[:, None] * Q).reshape(len(Q), S * A) @ plays.T.astype(float)


def _check(policies: PolicyClass, mdp: LayeredMDP) -> None:
    validate.instance_of("policies", policies, PolicyClass)
    policies.check_fits(mdp)
