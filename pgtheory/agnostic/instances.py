r"""Instances that separate access models: this project's own constructions.

They realise the parameters of the lower bounds of arXiv:2310.06113 and arXiv:2504.05405 (few latent states,
bounded coverage, :math:`|\Pi|=2^H`) and were proved and computed here; they are not copies of the papers'
constructions, which were not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pgtheory.agnostic.classes import singletons
from pgtheory.agnostic.layered_mdp import LayeredMDP
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.agnostic.witness import DeterministicMDP
from pgtheory.mdp import validate

GOOD, BAD, COUNTERFEIT = range(3)
KEEP, OPEN, DEAD = range(3)  # latent states of the amplifier, k, o and z
STAR = 1


def worked_mdp() -> tuple[LayeredMDP, PolicyClass]:
    """Two states, two layers, and the five singletons: every number of it was worked out by hand.

    The values are .275, .425, .275, .8 and .175, for all-0, 1 at the first and second state of layer 1, and of
    layer 2.
    """
    P = [[[0.75, 0.25], [0.25, 0.75]], [[0.5, 0.5], [1.0, 0.0]]]
    mdp = LayeredMDP([1.0, 0.0], [P], [np.zeros((2, 2)), [[0.2, 0.9], [0.5, 0.1]]], name="W")
    return mdp, singletons(2, 2)


def hidden_arm(
    tree: DeterministicMDP, policies: PolicyClass, layer: int, arm: int, epsilon: float
) -> ObservedMDP:
    """L1: a deterministic MDP with coins on the pairs that the class reaches in one layer, one of them a better coin.

    Whoever wants the better policy must try all the pairs: with an MDP that attains the spanning capacity, that many.

    Parameters
    ----------
    tree : DeterministicMDP
        Usually the witness of the spanning capacity.
    policies : PolicyClass
    layer : int
        Index of the layer that pays.
    arm : int
        Which of the reached pairs, in order, pays with probability 1/2 + epsilon; the others with 1/2.
    epsilon : float
        In (0, 1/2].
    """
    reached = sorted(tree.reached(policies)[validate.index("layer", layer, policies.horizon)])
    arm = validate.index("arm", arm, len(reached))
    epsilon = validate.positive("epsilon", epsilon)
    if epsilon > 0.5:
        raise ValueError(f"epsilon must be at most 1/2, got {epsilon:g}")
    rewards = [np.zeros((S, policies.n_actions)) for S in policies.sizes]
    for i, pair in enumerate(reached):
        rewards[layer][pair] = 0.5 + epsilon * (i == arm)
    return ObservedMDP.tabular(tree.with_rewards(rewards))


def two_latent_lock(secret: Any, *, good: float = 0.5) -> ObservedMDP:
    r"""L2: only the secret action keeps the latent state good; the reward is 1 in it at the end.

    The class of open-loop policies is complete and :math:`C_{\rm cov}=2`, yet from the start alone m episodes
    find the secret with probability at most :math:`(m+1)2^{-H}`. With resets PSDP needs O(H) episodes.

    Parameters
    ----------
    secret : H integers 0 or 1
    good : float
        :math:`\mu_h` of the good state, in every layer; :math:`C_{\rm conc}=1/\min(good,1-good)` at most.
    """
    b, good = _secret(secret), validate.probability("good", good)
    P = np.zeros((len(b) - 1, 2, 2, 2))
    P[:, BAD, :, BAD] = 1.0
    for h, a in enumerate(b[:-1]):
        P[h, GOOD, a, GOOD] = P[h, GOOD, 1 - a, BAD] = 1.0
    rewards = np.zeros((len(b), 2, 2))
    rewards[-1, GOOD, b[-1]] = 1.0
    mdp = LayeredMDP([1.0, 0.0], list(P), list(rewards), name="two-latent lock")
    return ObservedMDP.blind(mdp, resets=[[good, 1 - good]] * len(b))


def balanced_lock(secret: Any, *, delta: float = 0.5) -> ObservedMDP:
    r"""L3: a counterfeit state behaves like the good one and pays as much too little as that pays too much.

    From :math:`\mu_h`, h ≥ 2, every action sequence returns Bernoulli(1/2), and from the start all but the
    secret do: with resets alone or a local simulator alone the secret stays hidden. Under hybrid resets
    repeated rollouts from one draw tell its latent state. :math:`C_{\rm cov}=2`, :math:`C_{\rm conc}=C_{\rm
    push}=3`.

    Parameters
    ----------
    secret : H integers 0 or 1
    delta : float
        The final means are 1/2 + delta, 1/2 and 1/2 - delta; in (0, 1/2].
    """
    b, delta = _secret(secret), validate.positive("delta", delta)
    if delta > 0.5:
        raise ValueError(f"delta must be at most 1/2, got {delta:g}")
    P = np.zeros((len(b) - 1, 3, 2, 3))
    P[:, BAD, :, BAD] = 1.0
    for h, a in enumerate(b[:-1]):
        for z in (GOOD, COUNTERFEIT):
            P[h, z, a, z] = P[h, z, 1 - a, BAD] = 1.0
    rewards = np.zeros((len(b), 3, 2))
    rewards[-1] = 0.5
    rewards[-1, GOOD, b[-1]] += delta
    rewards[-1, COUNTERFEIT, b[-1]] -= delta
    start = [1.0, 0.0, 0.0]
    mdp = LayeredMDP(start, list(P), list(rewards), name="balanced lock")
    return ObservedMDP.blind(mdp, resets=[start, *[[1 / 3] * 3] * (len(b) - 1)])


def error_amplifier(gaps: Sequence[float]) -> ObservedMDP:
    r"""L4: an error at the end doubles in every layer of PSDP, for the class of all-bad (action 0) and all-star (1).

    From k star goes on to k and bad pays :math:`1-g_h` once; from o star goes to k and bad pays 1 once; z is
    dead. At the end star pays 1 in k and o. All-star is optimal everywhere, but if the suffix chosen loses Δ at
    k, star loses 2Δ/3 under :math:`\mu_h` = (1/3, 1/3, 1/3) where bad loses only :math:`g_h/3`.

    Parameters
    ----------
    gaps : H floats in [0, 1]
        :math:`g_1,\dots,g_H`.
    """
    g = validate.real_array("gaps", gaps, (None,), "[H]")
    if not len(g) or (g < 0).any() or (g > 1).any():
        raise ValueError(f"gaps must hold at least one number in [0, 1], got {g}")
    P = np.zeros((len(g) - 1, 3, 2, 3))
    P[:, :, 0, DEAD] = P[:, DEAD, STAR, DEAD] = 1.0
    P[:, [KEEP, OPEN], STAR, KEEP] = 1.0
    rewards = np.zeros((len(g), 3, 2))
    rewards[:, KEEP, 0], rewards[:, OPEN, 0] = 1 - g, 1.0
    rewards[-1, [KEEP, OPEN], STAR] = 1.0
    mdp = LayeredMDP([1.0, 0.0, 0.0], list(P), list(rewards), name="error amplifier")
    return ObservedMDP.blind(mdp, resets=[[1 / 3] * 3] * len(g))


def star_or_bad(horizon: int) -> PolicyClass:
    """The class of the amplifier and the trap: all-bad first, then all-star."""
    horizon = validate.positive_integer("horizon", horizon)
    return PolicyClass([[[0], [STAR]]] * horizon, name="star or bad")


def doubling_gaps(horizon: int, error: float, margin: float = 1e-6) -> np.ndarray:
    r"""Gaps [H] of L4 for which an oracle error at the last layer ends as :math:`3\cdot2^{H-1}` times itself.

    ``margin`` is how far each gap stays below the double of the loss after it, which makes PSDP prefer bad.
    """
    horizon = validate.positive_integer("horizon", horizon)
    last = 3 * validate.positive("error", error)
    return last * (2 * (1 - validate.positive("margin", margin))) ** np.arange(horizon - 1, -1, -1)


def advantage_trap(horizon: int) -> ObservedMDP:
    r"""L5: the amplifier with all gaps 1/2, where CPI from all-bad stops at once for H ≥ 3, 1/2 below the best policy.

    Star's advantage over all-bad is -1/6 under :math:`\mu_h` in every layer but the last, where it is +1/6.
    """
    return error_amplifier([0.5] * validate.positive_integer("horizon", horizon))


def _secret(value: Any) -> np.ndarray:
    b = validate.indices("secret", value, (None,), "[H]", 0, 1)
    if not len(b):
        raise ValueError("secret must hold at least one action, got none")
    return b
