r"""Exact evaluation of policies on a finite MDP, infinite-horizon or truncated, batched over policies.

For an infinite horizon the quantities solve two linear systems (``resolvent``); for a horizon H they
follow from one backward and one forward recursion,

.. math::  Q_h=r+\gamma PV_{h+1},\quad V_H=0, \qquad d_{h+1}=d_hP^\pi,\quad d_0=\rho .

Both cases are kept as *slices*: one slice that holds the stationary quantities, or H slices, slice h
weighted by :math:`\gamma^h`. Formulas for gradients are then the same sum over slices.

Two occupancies, named so that nobody confuses them:

``visits``        :math:`m(s)=\sum_t\gamma^t\Pr(s_t=s)`, expected discounted *number* of visits;
``distribution``  :math:`d_\rho^\pi(s)=m(s)/\sum_{s'}m(s')`, the *normalised* one, :math:`(1-\gamma)\,m` for
an infinite horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.resolvent import Resolvent, resolvent, values_and_visits


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """Everything exact about policies ``pi`` [..., S, A] on one MDP; see ``evaluate``.

    Attributes with ``_slices`` carry the time axis T (1 for an infinite horizon, H for a truncated one).
    """

    mdp: FiniteMDP
    pi: np.ndarray  # [..., S, A]
    horizon: int | None
    V_slices: np.ndarray  # [..., T, S]
    Q_slices: np.ndarray  # [..., T, S, A]
    m_slices: np.ndarray  # [..., T, S], discounted visits at each time
    tol: float
    solver: Resolvent | None = None

    @cached_property
    def resolvent(self) -> Resolvent:
        """Solves with I - gamma P^pi for the policies flattened to [B, S, A] (infinite horizon)."""
        if self.solver is not None:
            return self.solver
        flat = self.pi.reshape(-1, self.mdp.n_states, self.mdp.n_actions)
        return resolvent(self.mdp, np.ascontiguousarray(flat), self.tol)

    @property
    def V(self) -> np.ndarray:
        """State values [..., S] (of the whole episode, from time 0)."""
        return self.V_slices[..., 0, :]

    @property
    def Q(self) -> np.ndarray:
        """Action values [..., S, A] at time 0; forbidden actions hold the state's value."""
        return self.Q_slices[..., 0, :, :]

    @property
    def A(self) -> np.ndarray:
        """Advantages Q - V [..., S, A] at time 0; zero for forbidden actions and terminal states."""
        return self.A_slices[..., 0, :, :]

    @cached_property
    def A_slices(self) -> np.ndarray:
        """Advantages [..., T, S, A]."""
        return self.Q_slices - self.V_slices[..., None]

    @property
    def J(self) -> np.ndarray:
        r"""Expected return :math:`\rho^\top V` [...]."""
        return self.V @ self.mdp.start

    @property
    def visits(self) -> np.ndarray:
        r"""Expected discounted number of visits :math:`\sum_t\gamma^t\Pr(s_t=s)` [..., S] (not normalised)."""
        return self.m_slices.sum(-2)

    @property
    def distribution(self) -> np.ndarray:
        r"""Normalised discounted state distribution :math:`d_\rho^\pi` [..., S]; sums to one."""
        m = self.visits
        return m / m.sum(-1, keepdims=True)

    @cached_property
    def value_error(self) -> float:
        r"""Certified bound on :math:`\|V-V^\pi\|_\infty` over the batch, from the residual."""
        if self.horizon is not None:
            return 0.0
        V = self.V
        residual = (self.pi * self.Q).sum(-1) - V
        rounding = self._rounding(0) * (self.mdp.r_max + np.abs(V).max())
        return float((np.abs(residual).max() + rounding) / (1 - self.mdp.discount))

    @cached_property
    def visits_error(self) -> float:
        r"""Certified bound on :math:`\|m-m^\pi\|_1` over the batch, from the residual."""
        if self.horizon is not None:
            return 0.0
        m, gamma = self.visits, self.mdp.discount
        residual = self.mdp.start + gamma * self.mdp.push(m[..., None] * self.pi) - m
        rounding = self._rounding(1) * (1 + 2 * m.sum(-1).max())
        return float((np.abs(residual).sum(-1).max() + rounding) / (1 - gamma))

    def _rounding(self, axis: int) -> float:
        """Relative rounding error of one product with P: by rows (``axis`` 0: P V) or columns (1: m P)."""
        P, (S, A) = self.mdp.pairs, self.mdp.r.shape
        if not self.mdp.is_sparse:
            terms = S * A if axis else S
        else:
            terms = int((np.bincount(P.indices, minlength=1) if axis else np.diff(P.indptr)).max())
        return (terms + A + 4) * np.finfo(float).eps


def evaluate(
    mdp: FiniteMDP, pi: np.ndarray, horizon: int | None = None, *, tol: float = 1e-12
) -> PolicyEvaluation:
    """Exact values, action values, advantages, occupancies and return of stationary policies.

    Parameters
    ----------
    mdp : FiniteMDP
    pi : array [..., S, A]
        Action probabilities; rows sum to one and forbidden actions have probability zero.
    horizon : int, optional
        Truncate episodes after this many decisions; the MDP's own horizon by default.
    tol : float
        Relative accuracy of the Krylov solver used for sparse MDPs of many states.

    Raises
    ------
    TypeError, ValueError
        If ``pi`` is not a stochastic policy of this MDP, or ``horizon`` is not a positive integer.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    H = mdp.horizon if horizon is None else validate.positive_integer("horizon", horizon)
    return evaluate_unchecked(mdp, check_policy(mdp, pi), H, validate.positive("tol", tol))


def evaluate_stationary(mdp: FiniteMDP, pi: np.ndarray) -> PolicyEvaluation:
    """``evaluate`` where one Q for each state and action is needed, which an MDP with a horizon does not have.

    Raises
    ------
    TypeError, ValueError
        As ``evaluate``, and if the MDP has a horizon.
    """
    validate.instance_of("mdp", mdp, FiniteMDP)
    if mdp.horizon is not None:
        raise ValueError(
            f"mdp must have an infinite horizon, got horizon {mdp.horizon}: put the time into the state "
            "(pgtheory.mdp.unroll) and drop the horizon (mdp.replace(horizon=None))"
        )
    return evaluate(mdp, pi)


def evaluate_unchecked(mdp: FiniteMDP, pi: np.ndarray, H: int | None, tol: float) -> PolicyEvaluation:
    """``evaluate`` for policies known to be valid (those a policy class has just computed)."""
    flat = np.ascontiguousarray(pi.reshape(-1, mdp.n_states, mdp.n_actions))
    solver = None
    if H is None:
        V, m, solver = values_and_visits(mdp, flat, tol)
        V, m = V[:, None], m[:, None]
        Q = mdp.r + mdp.discount * mdp.expect(V)
    else:
        V, Q, m = _truncated(mdp, flat, H)
    if not mdp.actions.all():
        Q = np.where(mdp.actions, Q, V[..., None])
    V, Q, m = (x.reshape(pi.shape[:-2] + x.shape[1:]) for x in (V, Q, m))
    return PolicyEvaluation(mdp, pi, H, V, Q, m, tol, solver)


def check_policy(mdp: FiniteMDP, pi: np.ndarray) -> np.ndarray:
    """``pi`` as a fresh float64 array [..., S, A] of action probabilities, or a clear error."""
    pi = validate.trailing("pi", pi, mdp.r.shape, "[..., S, A]").astype(np.float64)
    if not np.isfinite(pi).all() or (pi < 0).any():
        raise ValueError("pi must hold finite non-negative probabilities, got a negative or non-finite entry")
    off = np.abs(pi.sum(-1) - 1)
    if off.max() > 1e-8:
        where = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
        raise ValueError(f"rows of pi must sum to one, row {list(where)} sums to {pi.sum(-1)[where]:.10g}")
    if (pi * ~mdp.actions).any():
        where = tuple(int(i) for i in np.argwhere(pi * ~mdp.actions)[0])
        raise ValueError(
            f"pi must give forbidden actions probability zero, got pi{list(where)} = {pi[where]:.6g}"
        )
    return pi


def expected_return(mdp: FiniteMDP, pi: np.ndarray, horizon: int | None = None) -> np.ndarray:
    r""":math:`J(\pi)=\rho^\top V^\pi` [...] of policies [..., S, A]."""
    return evaluate(mdp, pi, horizon).J


def _truncated(mdp: FiniteMDP, pi: np.ndarray, H: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    B, S, A = pi.shape
    V, Q, m = np.empty((B, H, S)), np.empty((B, H, S, A)), np.empty((B, H, S))
    after, mass = np.zeros((B, S)), np.broadcast_to(mdp.start, (B, S))
    for h in range(H - 1, -1, -1):
        Q[:, h] = mdp.r + mdp.discount * mdp.expect(after)
        after = V[:, h] = (pi * Q[:, h]).sum(-1)
    for h in range(H):
        m[:, h] = mass
        mass = mdp.discount * mdp.push(mass[..., None] * pi)
    return V, Q, m
