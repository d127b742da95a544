r"""Coverage of a layered MDP by the policies of a class, exactly: dynamic programming and maxima, no linear programme.

A reset distribution :math:`\mu` is given as H arrays, ``[S_h]`` over states or ``[S_h, A]`` over pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.agnostic.layered_mdp import LayeredMDP, Layers
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class Coverability:
    r""":math:`C_{\rm cov}(\Pi;M)=\inf_\mu\sup_{\pi,h}\|d^\pi_h/\mu_h\|_\infty`.

    Attributes
    ----------
    value : float
        The largest of ``by_layer``.
    by_layer : array [H]
        Sums of :math:`\sup_\pi d^\pi_h`, over states or over pairs.
    mu : tuple of H arrays [S_h] or [S_h, A]
        The minimiser, proportional to :math:`\sup_\pi d^\pi_h`.
    """

    value: float
    by_layer: np.ndarray
    mu: Layers


def coverability(policies: PolicyClass, mdp: LayeredMDP, *, pairs: bool = False) -> Coverability:
    """Coverability over states, or over state–action pairs, where it is at most A times larger."""
    reach = _furthest(policies, mdp, validate.flag("pairs", pairs))
    by_layer = np.array([x.sum() for x in reach])
    return Coverability(float(by_layer.max()), by_layer, tuple(x / x.sum() for x in reach))


def cumulative_reachability(policies: PolicyClass, mdp: LayeredMDP) -> np.ndarray:
    r""":math:`\sum_{s,a}\sup_\pi d^\pi_h(s,a)` [H], at most :math:`\mathfrak C_h(\Pi)` in every MDP."""
    return coverability(policies, mdp, pairs=True).by_layer


def concentrability(policies: PolicyClass, mdp: LayeredMDP, mu: Sequence[Any]) -> float:
    r""":math:`\sup_{\pi,h}\|d^\pi_h/\mu_h\|_\infty`; infinite where a policy goes and :math:`\mu` does not."""
    given = check_resets(mdp, mu)
    over_pairs = given[0].ndim == 2
    return max(_ratio(d, m) for d, m in zip(_furthest(policies, mdp, over_pairs), given))


def pushforward_concentrability(mdp: LayeredMDP, mu: Sequence[Any]) -> float:
    r""":math:`\max_{h,s,a,s'}P_h(s'|s,a)/\mu_{h+1}(s')`, over states; 0 if there is one layer."""
    given = check_resets(mdp, mu)
    if given[0].ndim == 2:
        raise ValueError("mu must be over states, H arrays [S_h], got arrays [S_h, A]")
    return max((_ratio(P.max((0, 1)), m) for P, m in zip(mdp.transitions, given[1:])), default=0.0)


def pushforward_coverability(mdp: LayeredMDP) -> float:
    r""":math:`\max_h\sum_{s'}\max_{s,a}P_h(s'|s,a)`, the least pushforward concentrability; 0 if H = 1."""
    validate.instance_of("mdp", mdp, LayeredMDP)
    return max((float(P.max((0, 1)).sum()) for P in mdp.transitions), default=0.0)


def check_resets(mdp: LayeredMDP, mu: Sequence[Any]) -> Layers:
    """Distributions over the states of every layer, or over the pairs of every layer, or an error."""
    validate.instance_of("mdp", mdp, LayeredMDP)
    given = validate.sequence("mu", mu, "arrays [S_h] or [S_h, A]")
    if len(given) != mdp.horizon:
        raise ValueError(
            f"mu must hold H = {mdp.horizon} distributions, one for each layer, got {len(given)}"
        )
    arrays = [validate.numbers(f"mu[{h}]", x) for h, x in enumerate(given)]
    over_pairs = arrays[0].ndim == 2
    checked = []
    for h, (x, S) in enumerate(zip(arrays, mdp.sizes)):
        shape = (S, mdp.n_actions) if over_pairs else (S,)
        if x.shape != shape:
            raise ValueError(f"mu[{h}] must have shape {list(shape)}, got {list(x.shape)}")
        checked.append(validate.distribution(f"mu[{h}]", x.ravel(), x.size).reshape(shape))
    return tuple(checked)


def _furthest(policies: PolicyClass, mdp: LayeredMDP, pairs: bool) -> list[np.ndarray]:
    """Largest probabilities over the class of visiting each state [S_h], or pair [S_h, A]."""
    validate.instance_of("policies", policies, PolicyClass)
    policies.check_fits(mdp)
    visits = mdp.occupancy(policies.actions)
    if not pairs:
        return [d.max(0) for d in visits]
    return [
        np.stack([np.where(table == a, d, 0.0).max(0) for a in range(mdp.n_actions)], -1)
        for d, table in zip(visits, policies.actions)
    ]


def _ratio(d: np.ndarray, mu: np.ndarray) -> float:
    """Largest d / mu where d is positive."""
    visited = d > 0
    if (mu[visited] == 0).any():
        return float("inf")
    return float((d[visited] / mu[visited]).max(initial=0.0))
