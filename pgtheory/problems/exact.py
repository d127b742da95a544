r"""Policy optimisation on a finite MDP with every quantity exact and in closed form.

With visits :math:`m`, advantages :math:`A` and :math:`\ell_v(s,a)=\nabla\log\pi(a|s)^\top v`,

.. math::
   \nabla J&=\sum_{s,a}m(s)\,\pi(a|s)\,A(s,a)\,\nabla\log\pi(a|s),\\
   \nabla^2J\,v&=\sum_{s,a}\big[\dot m\,\pi A+m\,\pi\,\ell_vA+m\,\pi\dot A\big]\nabla\log\pi(a|s)
                 +\sum_{s,a}m\,\pi A\,\nabla^2\log\pi(a|s)\,v .

The last sum is zero for every softmax with linear logits: :math:`\nabla^2\log\pi` does not depend on the
action and :math:`\sum_a\pi A=0`. Dots are derivatives along v (``pgtheory.mdp.sensitivity``). Under a horizon
the sums also run over time.
Sources: policy gradient theorem (Sutton et al. 2000); Hessian as in arXiv:2302.01734 and its references.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from pgtheory.mdp.evaluation import PolicyEvaluation, evaluate_unchecked
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.planning import solve
from pgtheory.mdp.sensitivity import differentiate
from pgtheory.policies.softmax import LinearSoftmax, TabularSoftmax


class ExactProblem:
    r"""Maximise :math:`J(\theta)` of a softmax policy on a finite MDP; all values and derivatives exact.

    Every method takes parameters ``theta`` [..., dim] and treats leading axes as a batch.

    Parameters
    ----------
    mdp : FiniteMDP
    policy : LinearSoftmax, optional
        Tabular softmax with the MDP's action sets by default.
    horizon : int, optional
        Optimise the truncated return :math:`J_H`; the MDP's own horizon by default.
    tol : float
        Relative accuracy of iterative linear solves (sparse MDPs with many states only).

    Raises
    ------
    ValueError
        If the policy's shape or action sets differ from the MDP's.
    """

    def __init__(
        self,
        mdp: FiniteMDP,
        policy: LinearSoftmax | None = None,
        *,
        horizon: int | None = None,
        tol: float = 1e-12,
    ) -> None:
        validate.instance_of("mdp", mdp, FiniteMDP)
        self.mdp = mdp
        self.policy = TabularSoftmax.on(mdp) if policy is None else policy
        validate.instance_of("policy", self.policy, LinearSoftmax)
        if self.policy.actions.shape != mdp.actions.shape:
            raise ValueError(
                f"policy must be over [S, A] = {list(mdp.actions.shape)}, got {list(self.policy.actions.shape)}"
            )
        if (self.policy.actions & ~mdp.actions).any():
            s, a = (int(i) for i in np.argwhere(self.policy.actions & ~mdp.actions)[0])
            raise ValueError(
                f"policy must not permit action {a} in state {s}: the MDP forbids it (pass actions=)"
            )
        self.horizon = mdp.horizon if horizon is None else validate.positive_integer("horizon", horizon)
        self._tol = validate.positive("tol", tol)

    def __repr__(self) -> str:
        horizon = "" if self.horizon is None else f", horizon={self.horizon}"
        return f"ExactProblem({self.mdp!r}, {self.policy!r}{horizon})"

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return self.policy.dim

    @cached_property
    def optimum(self) -> float:
        r""":math:`J^*`, the best return over *all* policies (not only those of the class)."""
        return float(solve(self.mdp.replace(horizon=self.horizon), tol=1e-10).V @ self.mdp.start)

    # -- values -----------------------------------------------------------------------------------------

    def evaluation(self, theta: Any) -> PolicyEvaluation:
        """V, Q, A, occupancies and J of the policies theta [..., dim]."""
        return evaluate_unchecked(self.mdp, self.policy.probabilities(theta), self.horizon, self._tol)

    def value(self, theta: Any) -> np.ndarray:
        """J [...] of parameters [..., dim]."""
        return self.evaluation(theta).J

    # -- derivatives ------------------------------------------------------------------------------------

    def gradient(self, theta: Any) -> np.ndarray:
        r""":math:`\nabla J` [..., dim]."""
        ev = self.evaluation(theta)
        return self.policy.score_sum(ev.pi, ev.pi * _weighted_advantage(ev))

    def hvp(self, theta: Any, v: Any) -> np.ndarray:
        r""":math:`\nabla^2J(\theta)\,v` [..., dim] for directions v [..., dim], without forming the Hessian."""
        theta, v = np.broadcast_arrays(*self._directed(theta, v))
        flat = theta.reshape(-1, self.dim)
        return self._second(self.evaluation(flat), v.reshape(-1, 1, self.dim)).reshape(theta.shape)

    def hessian(self, theta: Any) -> np.ndarray:
        r""":math:`\nabla^2J` [..., dim, dim], symmetrised."""
        theta = self.policy.check(theta)
        flat = theta.reshape(-1, self.dim)
        eye = np.broadcast_to(np.eye(self.dim), (len(flat), self.dim, self.dim))
        H = self._second(self.evaluation(flat), eye)
        return ((H + H.swapaxes(-1, -2)) / 2).reshape(*theta.shape, self.dim)

    def _second(self, ev: PolicyEvaluation, v: np.ndarray) -> np.ndarray:
        """Hessian–vector products [B, k, dim] at an evaluation of B policies, along v [B, k, dim]."""
        policy, pi = self.policy, ev.pi[:, None]
        ell = policy.directional(pi, v)
        tangent = differentiate(ev, pi * ell)
        m, A = ev.m_slices[:, None, :, :, None], ev.A_slices[:, None]
        dA = tangent.Q - tangent.V[..., None]
        w = (tangent.m[..., None] * A + m * (ell[:, :, None] * A + dA)).sum(2)
        return policy.score_sum(pi, pi * w)

    # -- geometry ---------------------------------------------------------------------------------------

    def fisher(self, theta: Any) -> np.ndarray:
        r"""Fisher matrix [..., dim, dim].

        .. math:: F_\rho(\theta)=\mathbb E_{s\sim d_\rho^\pi,a\sim\pi}\nabla\log\pi\,\nabla\log\pi^\top

        Terminal states count in the normalisation of :math:`d_\rho^\pi` but carry no score: nothing is decided there.
        """
        ev = self.evaluation(theta)
        return self.policy.fisher(ev.pi, self._decisions(ev))

    def fisher_vector(self, theta: Any, v: Any) -> np.ndarray:
        r""":math:`F_\rho(\theta)\,v` [..., dim] without forming the matrix."""
        theta, v = self._directed(theta, v)
        ev = self.evaluation(theta)
        ell = self.policy.directional(ev.pi, v)
        return self.policy.score_sum(ev.pi, self._decisions(ev)[..., None] * ev.pi * ell)

    def natural_gradient(self, theta: Any, *, damping: float = 0.0) -> np.ndarray:
        r"""Natural gradient [..., dim].

        :math:`F_\rho^\dagger\nabla J`, or :math:`(F_\rho+\lambda I)^{-1}\nabla J` with damping :math:`\lambda`.

        Computed as compatible weights, which stays accurate where :math:`\pi(a|s)` underflows; for tabular
        softmax it is the centred advantage over :math:`1-\gamma` (Kakade 2001).
        """
        damping = validate.non_negative("damping", damping)
        ev = self.evaluation(theta)
        d = self._decisions(ev)
        # nabla J = sum_s d(s) sum_a pi(a|s) q(s,a) score: the advantage, in units of the normalised d.
        q = np.divide(
            _weighted_advantage(ev), d[..., None], out=np.zeros(ev.pi.shape), where=d[..., None] > 0
        )
        return self.policy.compatible(ev.pi, d, q, damping)

    def _directed(self, theta: Any, v: Any) -> tuple[np.ndarray, np.ndarray]:
        """Parameters and directions, checked, with batch axes that broadcast."""
        theta, v = self.policy.check(theta), self.policy.check(v, "v")
        try:
            np.broadcast_shapes(theta.shape, v.shape)
        except ValueError:
            raise ValueError(
                f"theta and v must have batch axes that broadcast, got {list(theta.shape)} and {list(v.shape)}"
            ) from None
        return theta, v

    def _decisions(self, ev: PolicyEvaluation) -> np.ndarray:
        return np.where(self.mdp.terminal, 0.0, ev.distribution)


def _weighted_advantage(ev: PolicyEvaluation) -> np.ndarray:
    r""":math:`\sum_h m_h(s)A_h(s,a)` [..., S, A]."""
    weighted = ev.m_slices[..., None] * ev.A_slices
    return weighted[..., 0, :, :] if weighted.shape[-3] == 1 else weighted.sum(-3)
