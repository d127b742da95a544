"""Advantages of a class over a mixture policy under restarts, exactly or from episodes: what CPI climbs."""

from __future__ import annotations

import numpy as np

from pgtheory.agnostic.access import MuReset, Observations
from pgtheory.agnostic.layered_mdp import Layers
from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.policy_class import PolicyClass


def exact_advantages(env: ObservedMDP, policies: PolicyClass, policy: Layers) -> np.ndarray:
    """Advantages [n] of a class over a policy on views, H arrays [V_h, A], under restarts."""
    if env.resets is None:
        raise ValueError("env must have reset distributions for advantages under restarts, got resets=None")
    H, latent = env.mdp.horizon, env.latent_policies(policies)
    mine = [(e @ p)[None] for e, p in zip(env.emissions, policy)]
    evaluation = env.mdp.evaluate(mine)
    visits = env.mdp.occupancy(mine, inject=[x / H for x in env.resets])
    total = np.zeros(len(policies))
    for d, pi, own, Q in zip(visits, latent, mine, evaluation.Q):
        total += ((pi - own) * Q[0]).sum(-1) @ d[0]
    return total


def estimate_advantages(
    access: MuReset, policies: PolicyClass, policy: Layers, n: int, rng: np.random.Generator
) -> np.ndarray:
    r"""Unbiased estimates of the same from n episodes.

    An episode restarts in a uniform layer h, follows the policy to a uniform layer j ≥ h, takes a uniform
    action a there and follows the policy to the end; π' gains
    :math:`(H-h+1)\,(A\,1\{\pi'(x_j)=a\}-A\,\pi(a|x_j))\,G_j`.
    """
    H, A = access.horizon, access.n_actions
    total = np.zeros(len(policies))
    for h, count in enumerate(rng.multinomial(n, np.full(H, 1 / H))):
        pause = h + rng.integers(H - h, size=count)
        for j in range(h, H):
            m = int((pause == j).sum())
            if m == 0:
                continue
            here = _advance(access, access.reset(h, m), policy, j, rng)
            a = rng.integers(A, size=m)
            gain, after = access.step(here, a)
            if after is not None:
                gain = gain + _finish(access, after, policy, rng)
            weight = (H - h) * A * gain
            table = np.bincount(here.views * A + a, weight, access.views[j] * A).reshape(-1, A)
            total += table[np.arange(len(table)), policies.actions[j]].sum(1) - (table * policy[j]).sum()
    return total / n


def _act(policy: Layers, here: Observations, rng: np.random.Generator) -> np.ndarray:
    """Actions [n] drawn from a policy's probabilities."""
    cumulative = policy[here.layer].cumsum(-1)[here.views]
    return (rng.random((len(here), 1)) * cumulative[:, -1:] >= cumulative[:, :-1]).sum(-1)


def _advance(
    access: MuReset, here: Observations, policy: Layers, layer: int, rng: np.random.Generator
) -> Observations:
    while here.layer < layer:
        _, after = access.step(here, _act(policy, here, rng))
        assert after is not None  # the layer is still ahead
        here = after
    return here


def _finish(access: MuReset, here: Observations, policy: Layers, rng: np.random.Generator) -> np.ndarray:
    total = np.zeros(len(here))
    now: Observations | None = here
    while now is not None:
        gain, now = access.step(now, _act(policy, now, rng))
        total += gain
    return total
