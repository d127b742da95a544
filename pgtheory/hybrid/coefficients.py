r"""How well data cover a comparator, :math:`C_{npg},C_{off},\bar C_{off}`, and how complete a class is.

All exact on finite instances. Pairs in terminal states are left out: every critic is right there.

Source: arXiv:2311.08384, Definitions 1 and 2 and Section 4; the computations are derived here.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np

from pgtheory.hybrid.critics import Critic, Linear, Tabular
from pgtheory.hybrid.setting import Setting
from pgtheory.mdp import solve, validate
from pgtheory.mdp.evaluation import check_policy

REACHED = 1e-12  # below this an occupancy is rounding
UNSURE = 1e-8  # what the planner certifies
MOST_CORNERS = 4096


def least_occupancy(setting: Setting) -> np.ndarray:
    r""":math:`\min_\pi d^\pi(s,a)` [S, A] over all policies, pair by pair.

    A policy can avoid an action wherever it has another, so that only the reset's own mass is left; where it has
    no choice the least is an optimal control problem, with the visits as costs.
    """
    validate.instance_of("setting", setting, Setting)
    mdp, gamma = setting.mdp, setting.mdp.discount
    choice = mdp.actions.sum(-1) > 1
    least = (1 - gamma) * setting.reset if setting.resets_pairs else np.zeros(mdp.r.shape)
    for s in np.flatnonzero(~choice & ~mdp.terminal):
        cost = np.zeros(mdp.r.shape)
        cost[s] = mdp.actions[s]
        visits = -np.asarray(solve(mdp.replace(rewards=-cost), "pi").V)
        visits[visits < UNSURE] = 0.0
        later = gamma * mdp.push(setting.reset) @ visits if setting.resets_pairs else setting.reset @ visits
        least[s] = (least[s] + (1 - gamma) * later) * mdp.actions[s]
    return least


def npg_coefficient(setting: Setting, pi_e: Any) -> float:
    r""":math:`C_{npg}=\sup_\pi\|d^{\pi^e}/d^\pi\|_\infty`: at most :math:`\|d^{\pi^e}/\mu_0\|_\infty/(1-\gamma)`.

    Infinite as soon as the reset leaves it to the policy whether a pair that :math:`\pi^e` uses is ever seen.
    """
    return _worst_ratio(setting, setting.occupancy(pi_e), least_occupancy(setting))


def offline_ratio(setting: Setting, pi_e: Any) -> float:
    r""":math:`\bar C_{off}=\|d^{\pi^e}/\nu\|_\infty`."""
    return _worst_ratio(setting, setting.occupancy(pi_e), setting.nu)


def offline_coefficient(
    setting: Setting, pi_e: Any, critic: Critic | None = None, policies: Iterable[Any] = ()
) -> float:
    r""":math:`C_{off}=\max\Big\{0,\max_{\pi,f}\frac{\mathbb E_{d^{\pi^e}}[\mathcal T^\pi f-f]}
    {\sqrt{\mathbb E_\nu(\mathcal T^\pi f-f)^2}}\Big\}`.

    For a tabular critic every function is some policy's Bellman error, so :math:`C_{off}^2=\sum(d^{\pi^e})^2/\nu`
    whatever the policy. For a linear critic :math:`\mathcal T^\pi f-f` is affine in the weights, and the best ratio
    solves a quadratic programme in closed form; its bound is left out, which can only enlarge the coefficient.

    Parameters
    ----------
    setting : Setting
    pi_e : array [S, A]
        The comparator :math:`\pi^e`.
    critic : Critic, optional
        Tabular by default.
    policies : iterable of array [S, A]
        For a linear critic, the policies over which the maximum is taken.

    Raises
    ------
    TypeError, ValueError
        If a policy is none, or a linear critic comes without policies.
    """
    d_e, live = setting.occupancy(pi_e), ~setting.mdp.terminal[:, None]
    if critic is None or isinstance(critic, Tabular):
        used = (d_e > REACHED) & live
        if (setting.nu[used] == 0).any():
            return np.inf
        return float(np.sqrt((d_e[used] ** 2 / setting.nu[used]).sum()))
    validate.instance_of("critic", critic, Linear)
    assert isinstance(critic, Linear)
    errors = [_bellman_errors(setting, critic, check_policy(setting.mdp, pi)) for pi in policies]
    if not errors:
        raise ValueError("policies must hold at least one policy for a linear critic, got none")
    return max(_best_ratio(error, d_e * live, setting.nu * live) for error in errors)


def completeness_error(setting: Setting, critic: Critic, *, bounded_fit: bool = True) -> float:
    r""":math:`\varepsilon_{be}=\max_{f\in\mathcal F,\pi}\min_{f'\in\mathcal F}\|f'-\mathcal T^\pi f\|_\infty`.

    The inner minimum is convex in :math:`\mathcal T^\pi f`, which is linear in f and in the policy: the maximum is
    at a corner of the weights' box and a deterministic policy. All are tried.

    Parameters
    ----------
    setting : Setting
    critic : Critic
    bounded_fit : bool
        Whether :math:`f'` has to keep the bound, as a member of the class does.

    Raises
    ------
    ValueError
        If a linear critic has no bound (the error is then 0 or infinite), or the corners are too many to try.
    """
    if isinstance(critic, Tabular):
        return 0.0
    validate.instance_of("critic", critic, Linear)
    assert isinstance(critic, Linear)
    if critic.bound is None:
        raise ValueError("critic must have a bound: without one its completeness error is 0 or infinite")
    mdp = setting.mdp
    free = [np.flatnonzero(row)[: 1 if end else None] for row, end in zip(mdp.actions, mdp.terminal)]
    corners = 2.0**critic.dim * float(np.prod([float(len(choice)) for choice in free]))
    if corners > MOST_CORNERS:
        raise ValueError(
            f"critic and mdp must have at most {MOST_CORNERS} corners of weights and policies, got {corners:g}"
        )
    policies = [np.eye(mdp.n_actions)[np.array(choice)] for choice in product(*free)]
    signs = product((-1.0, 1.0), repeat=critic.dim)
    values = [critic.features @ (np.array(sign) * critic.bound) for sign in signs]
    fitted = critic if bounded_fit else critic.unbounded()
    return max(distance(setting, fitted, setting.backup(pi, f)) for f in values for pi in policies)


def distance(setting: Setting, critic: Linear, g: np.ndarray) -> float:
    r""":math:`\min_{f\in\mathcal F}\|f-g\|_\infty` over the pairs where the episode goes on, by linear programming."""
    from scipy.optimize import linprog

    used = setting.mdp.actions & ~setting.mdp.terminal[:, None]
    psi, target = critic.features[used], g[used]
    ones = np.ones((len(psi), 1))
    limits = [(None, None)] * critic.dim if critic.bound is None else [(-b, b) for b in critic.bound]
    done = linprog(
        np.append(np.zeros(critic.dim), 1.0),
        A_ub=np.block([[psi, -ones], [-psi, -ones]]),
        b_ub=np.concatenate([target, -target]),
        bounds=[*limits, (0, None)],
    )
    return float(done.fun)


def _worst_ratio(setting: Setting, d_e: np.ndarray, base: np.ndarray) -> float:
    used = (d_e > REACHED) & ~setting.mdp.terminal[:, None]
    with np.errstate(divide="ignore"):
        return float((d_e[used] / base[used]).max(initial=0.0))


def _bellman_errors(setting: Setting, critic: Linear, pi: np.ndarray) -> np.ndarray:
    r"""X [S*A, 1 + dim] with :math:`\mathcal T^\pi f-f=X\,(1,w)` for :math:`f=\psi^\top w`."""
    zero = np.zeros(pi.shape)
    r = setting.backup(pi, zero)
    columns = [setting.backup(pi, psi) - r - psi for psi in np.moveaxis(critic.features, -1, 0)]
    return np.stack([r.ravel(), *(column.ravel() for column in columns)], axis=-1)


def _best_ratio(X: np.ndarray, d: np.ndarray, nu: np.ndarray) -> float:
    r""":math:`\sup\{c^\top u:u^\top Mu\le1,u_0\ge0\}` with :math:`c=X^\top d,M=X^\top\mathrm{diag}(\nu)X`.

    By its dual, :math:`\min_{\alpha\ge0}\|c+\alpha e_0\|_{M^\dagger}` over the alpha that leave the range of M.
    """
    c, M = X.T @ d.ravel(), np.einsum("ni,n,nj->ij", X, nu.ravel(), X)
    inverse, e = np.linalg.pinv(M, hermitian=True, rcond=1e-12), np.eye(len(c))[0]
    outside = np.eye(len(c)) - M @ inverse
    tol = 1e-9 * max(1.0, float(np.abs(c).max()))
    k, l = outside @ c, outside @ e
    if np.abs(l).max() <= 1e-9:
        alpha = max(0.0, -float(e @ inverse @ c) / float(e @ inverse @ e))
    else:
        alpha = max(0.0, -float(k @ l) / float(l @ l))
    if np.abs(k + alpha * l).max() > tol:
        return np.inf
    best = c + alpha * e
    return float(np.sqrt(max(best @ inverse @ best, 0.0)))
