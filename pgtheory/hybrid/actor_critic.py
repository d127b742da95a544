r"""Hybrid actor-critic (HAC): softmax mirror descent on hybrid critics.

.. math:: f^t=\text{HPE}(\pi^t),\qquad\pi^{t+1}(a|s)\propto\pi^t(a|s)\exp(\eta f^t(s,a)),\qquad\pi^1\text{ uniform}.

Source: arXiv:2311.08384, Algorithm 1. Every evaluation starts from the same :math:`f_0`: warm starts change the
results where the critic class is not complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.hybrid.critics import Critic
from pgtheory.hybrid.evaluation import HPE, Divergence, Fit
from pgtheory.hybrid.moments import Moments, population, sampled
from pgtheory.hybrid.setting import Setting
from pgtheory.mdp import validate

Data = Callable[[np.ndarray], "Moments | Iterator[Moments]"]


@dataclass(frozen=True, eq=False)
class History:
    r"""Policies and critics of a run, as far as it came.

    Attributes
    ----------
    policies : array [t + 1, S, A]
        :math:`\pi^1,\dots,\pi^{t+1}`; t = T unless a critic diverged.
    critics : array [t, S, A]
    factors : array [t]
        Growth of each critic's change an iteration (:attr:`Fit.factor`); above 1 it diverges or did.
    pinned : bool array [t]
        Which critics sat on their bound.
    divergence : Divergence or None
        Why the run ended before its time.
    """

    policies: np.ndarray
    critics: np.ndarray
    factors: np.ndarray
    pinned: np.ndarray
    divergence: Divergence | None

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """One of the policies [S, A], each as likely: the output that the theorem is about."""
        return self.policies[rng.integers(len(self.policies))]


def mirror_descent_step(setting: Setting, T: int) -> float:
    r"""The theory's :math:`\eta=(1-\gamma)\sqrt{\log A/T}`; its proof needs :math:`T\ge4\log A`."""
    log_actions = np.log(setting.mdp.actions.sum(-1).max())
    return float((1 - setting.mdp.discount) * np.sqrt(log_actions / T))


def fresh(setting: Setting, m_on: int, m_off: int, rng: np.random.Generator) -> Data:
    """Data for :func:`hac`: new samples for every iteration of every evaluation, as the paper has it.

    Parameters
    ----------
    setting : Setting
    m_on, m_off : int
        On-policy and offline tuples.
    rng : numpy.random.Generator
    """

    def stream(pi: np.ndarray) -> Iterator[Moments]:
        while True:
            yield sampled(setting, pi, m_on, m_off, rng)

    return stream


def hac(
    setting: Setting,
    critic: Critic,
    evaluation: HPE,
    *,
    T: int,
    eta: float | None = None,
    start: Any = None,
    data: Data | None = None,
) -> History:
    r"""Run HAC; :math:`\lambda` and the targets of ``evaluation`` make it offline-only, on-policy or RLPD-like.

    Parameters
    ----------
    setting : Setting
    critic : Critic
    evaluation : HPE
    T : int
        Policy updates.
    eta : float, optional
        Step size; the theory's by default.
    start : array [S, A], optional
        :math:`f_0` of every evaluation, zero by default.
    data : callable, optional
        Policy -> data for :meth:`HPE.evaluate`, such as :func:`fresh`; the populations by default.

    Returns
    -------
    History
        A critic that diverges ends the run; nothing before it is lost.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.
    """
    validate.instance_of("setting", setting, Setting)
    T = validate.positive_integer("T", T)
    eta = mirror_descent_step(setting, T) if eta is None else validate.positive("eta", eta)
    return alternate(setting, critic, evaluation, lambda _, fit: eta * fit.f, T, start, data)


def alternate(
    setting: Setting,
    critic: Critic,
    evaluation: HPE,
    update: Callable[[np.ndarray, Fit], np.ndarray],
    T: int,
    start: Any = None,
    data: Data | None = None,
) -> History:
    """Evaluate, then add ``update(pi, fit)`` [S, A] to the logits, T times; the other parameters as in :func:`hac`."""
    validate.instance_of("evaluation", evaluation, HPE)
    observe = data or (lambda pi: population(setting, pi))
    logits = np.zeros(setting.mdp.r.shape)
    policies, fits = [softmax(logits, setting.mdp.actions)], []
    for _ in range(T):
        fit = evaluation.evaluate(observe(policies[-1]), policies[-1], critic, start)
        fits.append(fit)
        if fit.divergence:
            break
        logits += update(policies[-1], fit)
        policies.append(softmax(logits, setting.mdp.actions))
    return History(
        np.stack(policies),
        np.stack([fit.f for fit in fits]),
        np.array([fit.factor for fit in fits]),
        np.array([fit.pinned for fit in fits]),
        fits[-1].divergence,
    )


def softmax(logits: np.ndarray, actions: np.ndarray | bool = True) -> np.ndarray:
    """Probabilities [..., A] of logits [..., A]; zero where an action is not permitted."""
    x = np.where(actions, logits, -np.inf)
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)
