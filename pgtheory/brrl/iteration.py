"""Bounded-ratio improvement repeated with exact values: how many steps a box of a given width costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.brrl.box import RatioBox
from pgtheory.brrl.improvement import improve
from pgtheory.mdp import FiniteMDP, validate


@dataclass(frozen=True, eq=False)
class History:
    """Returns and policies from the start on.

    Attributes
    ----------
    J : array [iterations + 1, ...]
    policies : array [iterations + 1, ..., S, A]
    """

    J: np.ndarray
    policies: np.ndarray


def iterate(
    mdp: FiniteMDP,
    box: RatioBox,
    temperature: float = 0.0,
    start: Any = None,
    *,
    iterations: int = 100,
) -> History:
    r"""Repeat :math:`\pi\leftarrow\pi^*`; the return rises at every step (Theorem 4.2).

    Parameters
    ----------
    mdp : FiniteMDP
        With an infinite horizon.
    box : RatioBox
    temperature : float
    start : array [..., S, A], optional
        Uniform over the permitted actions by default. An action of probability zero stays there.
    iterations : int

    Raises
    ------
    TypeError, ValueError
        As ``improve``, and if ``iterations`` is not a positive integer.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    count = validate.positive_integer("iterations", iterations)
    pi = mdp.actions / mdp.actions.sum(-1, keepdims=True) if start is None else start
    J, policies = [], []
    for _ in range(count):
        step = improve(mdp, pi, box, temperature)
        J.append(step.J_before)
        policies.append(step.before.pi)
        pi = step.policy
    return History(np.stack([*J, step.J_after]), np.stack([*policies, pi]))


def iterations_to_close(history: History, optimum: float, fraction: float = 0.99) -> np.ndarray:
    """Steps [...] after which this fraction of the initial gap to ``optimum`` is closed; -1 where it never is.

    Raises
    ------
    TypeError, ValueError
        If ``history`` is none, ``fraction`` is not in [0, 1] or ``optimum`` is below a return it should bound.
    """
    validate.instance_of("history", history, History)
    optimum, J = validate.finite("optimum", optimum), history.J
    if J.max() > optimum + 1e-6 * max(1.0, abs(optimum)):
        raise ValueError(f"optimum must be at least every return in history, got {optimum:g} < {J.max():g}")
    closed = optimum - J <= (1 - validate.probability("fraction", fraction)) * (optimum - J[0])
    return np.where(closed.any(0), closed.argmax(0), -1)
