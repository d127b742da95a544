r"""A small instance on which only the hybrid critic survives: realizable, but not Bellman complete.

In :math:`x_0` one may *exit*, for reward b, or enter a *chain* :math:`s_1\to s_2\to s_2\dots` that pays nothing.
The critic has two weights, :math:`f(x_0,\text{chain})=f(s_1)=w_1`, :math:`f(s_2)=2w_1`,
:math:`f(x_0,\text{exit})=w_2`. It can represent every :math:`Q^\pi` (:math:`w_1=0,w_2=b`), but backing it up
leaves the class, and fitted evaluation on :math:`\nu` doubles as it projects: :math:`w_1` is multiplied by

.. math:: \frac{2.5\,\gamma}{2.1+\lambda\,\mathbb E_d\psi_1^2}

an iteration, more than one unless enough weight is put on on-policy returns.
"""

from __future__ import annotations

import numpy as np

from pgtheory.hybrid.critics import Linear
from pgtheory.hybrid.setting import Setting
from pgtheory.mdp import FiniteMDP, validate

CHAIN, EXIT = 0, 1


def chain_or_exit(
    reward: float = 0.5, discount: float = 0.95, *, reset_pairs: bool = True
) -> tuple[Setting, Linear]:
    r"""The instance and its critic.

    Parameters
    ----------
    reward : float
        b, what *exit* pays.
    discount : float
    reset_pairs : bool
        Reset both pairs of :math:`x_0` evenly, so that :math:`d^\pi` is the same for every policy; otherwise
        only the state :math:`x_0`, and what the policy avoids is never seen on-policy.

    Returns
    -------
    tuple of Setting and Linear
        States :math:`x_0,s_1,s_2` and the end, actions *chain* and *exit* (the latter in :math:`x_0` only);
        :math:`\nu` is .1 on each pair of :math:`x_0` and .4 on :math:`s_1` and :math:`s_2`. The critic is bounded
        by :math:`|w_1|\le\frac1{2(1-\gamma)},|w_2|\le\frac1{1-\gamma}`, so that :math:`|f|\le\frac1{1-\gamma}`.
    """
    reward = validate.finite("reward", reward)
    P, r, nu = np.zeros((4, 2, 4)), np.zeros((4, 2)), np.zeros((4, 2))
    for (s, a), after in {(0, CHAIN): 1, (0, EXIT): 3, (1, CHAIN): 2, (2, CHAIN): 2}.items():
        P[s, a, after] = 1.0
    r[0, EXIT] = reward
    nu[0], nu[1:3, CHAIN] = 0.1, 0.4
    actions = np.array([[1, 1], [1, 0], [1, 0], [1, 1]], bool)
    start = np.eye(4)[0]
    mdp = FiniteMDP(P, r, discount, start, terminal=[0, 0, 0, 1], actions=actions, name="chain-or-exit")
    features = np.zeros((4, 2, 2))
    features[:3, CHAIN, 0] = 1.0, 1.0, 2.0
    features[0, EXIT, 1] = 1.0
    top = 1 / (1 - mdp.discount)
    both = start[:, None] * np.array([0.5, 0.5])
    return Setting(mdp, nu, both if reset_pairs else start), Linear(features, bound=[top / 2, top])
