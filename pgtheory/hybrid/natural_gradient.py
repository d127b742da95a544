r"""Hybrid natural policy gradient (HNPG): the Fisher matrix of offline and on-policy pairs together.

.. math::
   w^t\in\arg\min_w\ \mathbb E_\nu(w^\top\phi^t-\bar f^t)^2+\lambda\,\mathbb E_{d^\pi}(w^\top\phi^t-\bar f^t)^2,
   \qquad\phi^t=\nabla\log\pi_{\theta^t},\quad\bar f^t=f^t-f^t(s,\pi^t),\qquad\theta^{t+1}=\theta^t+\eta w^t .

Without the offline term it is the natural gradient with a compatible critic (Kakade 2001). For a tabular softmax
and data on every pair w is f up to a constant a state, and HNPG is HAC.

Source: arXiv:2311.08384, Algorithm 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.hybrid.actor_critic import Data, History, alternate
from pgtheory.hybrid.critics import Critic
from pgtheory.hybrid.evaluation import HPE, Fit
from pgtheory.hybrid.setting import Setting
from pgtheory.mdp import validate


def scores(pi: np.ndarray, features: np.ndarray) -> np.ndarray:
    r""":math:`\nabla\log\pi(a|s)=\phi(s,a)-\mathbb E_{b\sim\pi}\phi(s,b)` [S, A, dim] of a log-linear policy [S, A]."""
    return features - np.einsum("sa,sad->sd", pi, features)[:, None]


def natural_direction(
    pi: np.ndarray,
    features: np.ndarray,
    weights: np.ndarray,
    f: np.ndarray,
    *,
    damping: float = 0.0,
    cg_iterations: int | None = None,
) -> np.ndarray:
    r""":math:`[F_\nu+\lambda F_d+\text{damping}]^\dagger[\mathbb E_\nu\phi\bar f+\lambda\mathbb E_d\phi\bar f]` [dim].

    Parameters
    ----------
    pi : array [S, A]
    features : array [S, A, dim]
        :math:`\pi\propto\exp(\phi^\top\theta)`.
    weights : array [S, A]
        :math:`\nu+\lambda d^\pi`.
    f : array [S, A]
    damping : float
    cg_iterations : int, optional
        Conjugate gradients with Fisher-vector products, as many; solved exactly by default.
    """
    phi = scores(pi, features)
    advantage = f - (pi * f).sum(-1, keepdims=True)
    damping = validate.non_negative("damping", damping)
    g = np.einsum("sa,sad->d", weights * advantage, phi)
    if cg_iterations is None:
        F = np.einsum("sai,sa,saj->ij", phi, weights, phi) + damping * np.eye(len(g))
        return np.linalg.pinv(F, hermitian=True) @ g

    import torch

    from pgtheory.deep.trust_region import conjugate_gradient

    rows, mass = torch.as_tensor(phi.reshape(-1, len(g))), torch.as_tensor(weights.ravel())
    w, _ = conjugate_gradient(
        lambda v: rows.T @ (mass * (rows @ v)), torch.as_tensor(g), iterations=cg_iterations, damping=damping
    )
    return w.numpy()


def hnpg(
    setting: Setting,
    critic: Critic,
    evaluation: HPE,
    *,
    T: int,
    eta: float,
    features: Any = None,
    damping: float = 0.0,
    cg_iterations: int | None = None,
    start: Any = None,
    data: Data | None = None,
) -> History:
    r"""Run HNPG with a log-linear policy.

    Parameters
    ----------
    setting, critic, evaluation, T, start, data
        As in :func:`pgtheory.hybrid.hac`. The Fisher matrix is that of the last iteration's data.
    eta : float
        Step size; the theory's is :func:`pgtheory.hybrid.theory.natural_step`.
    features : array [S, A, dim], optional
        Of the policy; tabular by default.
    damping : float
    cg_iterations : int, optional

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.
    """
    validate.instance_of("setting", setting, Setting)
    eta, (S, A) = validate.positive("eta", eta), setting.mdp.r.shape
    if features is None:
        features = np.eye(S * A).reshape(S, A, S * A)
    phi = validate.real_array("features", features, (S, A, None), "[S, A, dim]")

    def update(pi: np.ndarray, fit: Fit) -> np.ndarray:
        w = natural_direction(pi, phi, fit.weights, fit.f, damping=damping, cg_iterations=cg_iterations)
        return eta * (phi @ w)

    return alternate(setting, critic, evaluation, update, validate.positive_integer("T", T), start, data)
