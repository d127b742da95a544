r"""One exact step of bounded-ratio improvement on a finite MDP, and what is guaranteed about it.

Theorem 4.2 of arXiv:2604.18578 is an equality: with :math:`\tilde A=Q_{\pi_0}-\mu`,

.. math::
   J(\pi^*)=J(\pi_0)+\epsilon B,\qquad
   B=\mathbb E_{s\sim m_{\pi^*},a\sim\pi_0}\big[\tanh\big(\tfrac{\tilde A}{2\lambda}\big)\tilde A\big]
   \;\xrightarrow{\lambda\to0}\;\mathbb E_{m_{\pi^*},\pi_0}|\tilde A| .

The limit is the paper's; the form for :math:`\lambda>0` is derived here, from the performance-difference
lemma :math:`J(\pi^*)-J(\pi_0)=\sum_sm_{\pi^*}(s)\sum_a\pi_0(\rho^*-1)A` and :math:`\sum_a\pi_0(\rho^*-1)=0`,
which allows any baseline, so :math:`\mu`, in the place of V. With ties at :math:`\lambda=0` the limit stays:
an action in the tie has :math:`\tilde A=0` and adds nothing, whatever ratio normalisation gives it.
Expectations over states are over the *visits* m (``PolicyEvaluation.visits``), which are not normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pgtheory.brrl.box import RatioBox
from pgtheory.brrl.optimum import Optimum, optimal_ratio
from pgtheory.mdp import FiniteMDP
from pgtheory.mdp.evaluation import PolicyEvaluation, evaluate, evaluate_stationary


@dataclass(frozen=True, eq=False)
class Improvement:
    """A policy, its bounded-ratio improvement, and both sides of the identity between their returns.

    Attributes
    ----------
    before : PolicyEvaluation
        Of the old policies [..., S, A].
    optimum : Optimum
        The step in every state, axes [..., S, A].
    box : RatioBox
    temperature : float
    """

    before: PolicyEvaluation
    optimum: Optimum
    box: RatioBox
    temperature: float

    @property
    def policy(self) -> np.ndarray:
        r""":math:`\pi^*` [..., S, A]."""
        return self.optimum.policy

    @property
    def ratio(self) -> np.ndarray:
        r""":math:`\rho^*` [..., S, A]."""
        return self.optimum.ratio

    @property
    def threshold(self) -> np.ndarray:
        r""":math:`\mu` [..., S]."""
        return self.optimum.threshold

    @cached_property
    def after(self) -> PolicyEvaluation:
        r"""Of :math:`\pi^*`, computed when it is first asked for."""
        return evaluate(self.before.mdp, self.policy)

    @property
    def J_before(self) -> np.ndarray:
        r""":math:`J(\pi_0)` [...]."""
        return self.before.J

    @property
    def J_after(self) -> np.ndarray:
        r""":math:`J(\pi^*)` [...]."""
        return self.after.J

    @property
    def promised(self) -> np.ndarray:
        r"""The identity's other side [...]: :math:`\epsilon B` if the box is symmetric, non-negative in any box.

        :math:`\mathbb E_{m_{\pi^*},\pi_0}[\phi(\tilde A)\,\tilde A]` with :math:`\phi` the rise of the ratio,
        :math:`\rho^*-1` as a function of :math:`\tilde A` away from ties. Uses :math:`\tilde A` only: not
        the ratios, nor V.
        """
        above = np.where(self.optimum.weights > 0, self.before.Q - self.threshold[..., None], 0.0)
        if self.temperature > 0:
            with np.errstate(over="ignore"):
                rise = self.box.excess(above / self.temperature)
        else:
            rise = np.where(above > 0, self.box.up, -self.box.down)
        return (self.after.visits[..., None] * self.optimum.weights * rise * above).sum((-2, -1))

    @property
    def B(self) -> np.ndarray:
        """The gain per epsilon [...]; symmetric boxes only."""
        return self.promised / self.box.epsilon

    @property
    def identity(self) -> tuple[np.ndarray, np.ndarray]:
        r""":math:`J(\pi^*)-J(\pi_0)` and what the theorem says it is."""
        return self.J_after - self.J_before, self.promised


def improve(mdp: FiniteMDP, pi: Any, box: RatioBox, temperature: float = 0.0) -> Improvement:
    r"""The exact bounded-ratio improvement of policies on an MDP (Theorems 4.1 and 4.2).

    Parameters
    ----------
    mdp : FiniteMDP
        With an infinite horizon.
    pi : array [..., S, A]
        Old policies.
    box : RatioBox
    temperature : float
        :math:`\lambda\ge0` in units of Q.

    Raises
    ------
    TypeError, ValueError
        If the MDP has a horizon (its action values depend on time, so that a stationary policy has no
        single Q to improve on), ``pi`` is no policy of it, or as ``optimal_ratio``.
    """
    before = evaluate_stationary(mdp, pi)
    return Improvement(before, optimal_ratio(before.Q, before.pi, box, temperature), box, float(temperature))
