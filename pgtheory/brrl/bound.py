r"""A lower bound on the return of any policy through its distance to the bounded-ratio optimum.

Corollary 4.5 of arXiv:2604.18578 says, with :math:`l^{BPO}=|A||\rho-\rho^*|` and m the visits,

.. math:: J(\pi)\ge J(\pi_0)+\epsilon B-\mathbb E_{m_{\pi_0},\pi_0}[l^{BPO}(\rho)]-\delta(\pi,\pi^*) .

**The paper's constant** :math:`\delta` **was not visible; the two below are derived here.** With
:math:`h_\pi(s)=\sum_a\pi(a|s)A(s,a)`,

.. math::
   J(\pi)-J(\pi^*)=(m_\pi-m_{\pi^*})h_\pi+m_{\pi_0}(h_\pi-h_{\pi^*})+(m_{\pi^*}-m_{\pi_0})(h_\pi-h_{\pi^*})

and :math:`|h_\pi-h_{\pi^*}|\le\sum_a|A||\pi-\pi^*|`, so that the bound holds with

.. math::
   \delta=\|m_\pi-m_{\pi^*}\|_1\max_s|h_\pi|+\|m_{\pi^*}-m_{\pi_0}\|_1\max_s|h_\pi-h_{\pi^*}|
   \le A_{\max}\tfrac\gamma{1-\gamma}\mathbb E_{m_{\pi^*}}\|\pi-\pi^*\|_1
      +A_{\max}\tfrac{\gamma\epsilon}{(1-\gamma)^2}\max_s\|\pi-\pi^*\|_1 .
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.brrl.box import RatioBox
from pgtheory.brrl.improvement import improve
from pgtheory.mdp import FiniteMDP
from pgtheory.mdp.evaluation import evaluate_stationary


@dataclass(frozen=True, eq=False)
class LowerBound:
    r"""The parts of the bound, all [...].

    Attributes
    ----------
    J, J_old : array
        :math:`J(\pi)` that is bounded, and :math:`J(\pi_0)`.
    promised : array
        :math:`\epsilon B`, what the optimum gains.
    loss : array
        Expected advantage-weighted distance :math:`\mathbb E_{m_{\pi_0},\pi_0}|A||\rho-\rho^*|`.
    delta : array
        Error of replacing the visits, by exact L1 distances of visits.
    delta_max : array
        A larger one that needs no visits of :math:`\pi`, by :math:`A_{\max}`.
    """

    J: np.ndarray
    J_old: np.ndarray
    promised: np.ndarray
    loss: np.ndarray
    delta: np.ndarray
    delta_max: np.ndarray

    @property
    def value(self) -> np.ndarray:
        r"""The bound with ``delta``: no policy's return is below it."""
        return self.J_old + self.promised - self.loss - self.delta

    @property
    def value_max(self) -> np.ndarray:
        r"""The looser bound with ``delta_max``."""
        return self.J_old + self.promised - self.loss - self.delta_max


def lower_bound(mdp: FiniteMDP, pi: Any, pi0: Any, box: RatioBox, temperature: float = 0.0) -> LowerBound:
    r"""The bound on :math:`J(\pi)` around the improvement of :math:`\pi_0`; its constants are derived here.

    The loss is summed as :math:`|A||\pi-\pi^*|`, so that :math:`\pi` may take actions that :math:`\pi_0` never
    takes. In a box that is not symmetric :math:`\epsilon` of the looser form is
    :math:`\frac{2(1-c_l)(c_h-1)}{c_h-c_l}`, the most that :math:`\|\pi^*-\pi_0\|_1` can be in it.

    Parameters
    ----------
    mdp : FiniteMDP
        With an infinite horizon.
    pi, pi0 : array [..., S, A]
        The policy to bound and the old one.
    box : RatioBox
    temperature : float

    Raises
    ------
    TypeError, ValueError
        As ``improve``.
    """
    step, new = improve(mdp, pi0, box, temperature), evaluate_stationary(mdp, pi)
    old, best, gamma = step.before, step.after, mdp.discount
    distance = np.abs(new.pi - best.pi)  # [..., S, A]
    h, h_best = (new.pi * old.A).sum(-1), (best.pi * old.A).sum(-1)
    delta = _l1(new.visits - best.visits) * np.abs(h).max(-1)
    delta = delta + _l1(best.visits - old.visits) * np.abs(h - h_best).max(-1)
    away = distance.sum(-1)
    farthest = 2 * box.up * box.down / (box.up + box.down)
    moved = (best.visits * away).sum(-1) + farthest / (1 - gamma) * away.max(-1)
    return LowerBound(
        new.J,
        old.J,
        step.promised,
        (old.visits * (np.abs(old.A) * distance).sum(-1)).sum(-1),
        delta,
        np.abs(old.A).max((-2, -1)) * gamma / (1 - gamma) * moved,
    )


def _l1(x: np.ndarray) -> np.ndarray:
    return np.abs(x).sum(-1)
