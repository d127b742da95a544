r"""How exact policy quantities change with the policy: directional derivatives along :math:`\dot\pi`.

For an infinite horizon, with :math:`Q` and :math:`m` those of :math:`\pi`,

.. math::
   \dot V=(I-\gamma P^\pi)^{-1}\textstyle\sum_a\dot\pi Q,\qquad \dot Q=\gamma P\dot V,\qquad
   \dot m=\gamma\,(I-\gamma P^{\pi\top})^{-1}\textstyle\sum_{s,a}m\,\dot\pi\,P(\cdot|s,a);

under a horizon the same products run backward (values) and forward (visits).
"""

from typing import NamedTuple

import numpy as np

from pgtheory.mdp.evaluation import PolicyEvaluation


class Tangent(NamedTuple):
    """Directional derivatives of the slices of an evaluation along k directions."""

    V: np.ndarray  # [B, k, T, S]
    Q: np.ndarray  # [B, k, T, S, A]
    m: np.ndarray  # [B, k, T, S]


def differentiate(evaluation: PolicyEvaluation, dpi: np.ndarray) -> Tangent:
    r"""Derivatives of V, Q and visits along ``dpi`` [B, k, S, A] at an evaluation of policies [B, S, A].

    Rows of ``dpi`` sum to zero. Costs two triangular solves a direction (infinite horizon) or one
    backward and one forward pass (truncated).
    """
    return _stationary(evaluation, dpi) if evaluation.horizon is None else _truncated(evaluation, dpi)


def _stationary(ev: PolicyEvaluation, dpi: np.ndarray) -> Tangent:
    mdp, solver = ev.mdp, ev.resolvent
    dV = solver.solve((dpi * ev.Q[:, None]).sum(-1))
    dm = solver.solve_transposed(mdp.discount * mdp.push(ev.m_slices[:, :, :, None] * dpi))
    dQ = np.where(mdp.actions, mdp.discount * mdp.expect(dV), dV[..., None])
    return Tangent(dV[:, :, None], dQ[:, :, None], dm[:, :, None])


def _truncated(ev: PolicyEvaluation, dpi: np.ndarray) -> Tangent:
    mdp, gamma, pi = ev.mdp, ev.mdp.discount, ev.pi[:, None]
    B, k, S, A = dpi.shape
    T = ev.V_slices.shape[1]
    dV, dQ, dm = np.zeros((B, k, T, S)), np.zeros((B, k, T, S, A)), np.zeros((B, k, T, S))
    for h in range(T - 1, -1, -1):
        if h < T - 1:
            dQ[:, :, h] = gamma * mdp.expect(dV[:, :, h + 1])
        dV[:, :, h] = (dpi * ev.Q_slices[:, None, h] + pi * dQ[:, :, h]).sum(-1)
    for h in range(1, T):
        mass = ev.m_slices[:, None, h - 1, :, None] * dpi + dm[:, :, h - 1, :, None] * pi
        dm[:, :, h] = gamma * mdp.push(mass)
    dQ = np.where(mdp.actions, dQ, dV[..., None])
    return Tangent(dV, dQ, dm)
