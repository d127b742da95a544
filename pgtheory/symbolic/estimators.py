r"""The trajectory estimators of gradient and Hessian as polynomials, and a proof that they are unbiased.

Everything is written in the probabilities :math:`\pi(a|s)` of a tabular softmax policy (those of the last action of a
state being one minus the others), whose derivatives are polynomials in them,
:math:`\partial\pi(a|s)/\partial\theta_{sb}=\pi(a|s)(1_{a=b}-\pi(b|s))`. So an identity between expectations holds when
two polynomials have the same coefficients, which SymPy decides by expanding: no numbers, no rounding.

The estimators are those of arXiv:2302.01734 (second-hand, from third-party notes): with
:math:`\Psi_t=\sum_{h\ge t}^{H-1}\gamma^hr_h` and :math:`u=\sum_t\nabla\log\pi(a_t|s_t)`,

.. math::
   g=\sum_t\Psi_t\nabla\log\pi(a_t|s_t),\qquad
   B=\nabla\Phi\,\nabla\log p(\tau)^\top+\nabla^2\Phi=g\,u^\top+\sum_t\Psi_t\nabla^2\log\pi(a_t|s_t).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import sympy
from sympy import Expr, Matrix

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.symbolic.returns import check_size, rational

MOST_TRAJECTORIES = 1000


class SymbolicPolicy:
    """A tabular softmax policy by its probabilities, as symbols ``pi_sa``.

    Parameters
    ----------
    mdp : FiniteMDP
        At most 4 states, with every action permitted in every state.

    Attributes
    ----------
    pi : sympy.Matrix [S, A]
        Action probabilities; the last of each row is one minus the others.
    """

    def __init__(self, mdp: FiniteMDP) -> None:
        check_size(mdp)
        if not mdp.actions.all():
            raise ValueError(f"mdp must permit every action in every state, {mdp!r} forbids some")
        S, A = mdp.n_states, mdp.n_actions
        free = [[sympy.Symbol(f"pi_{s}{a}", positive=True) for a in range(A - 1)] for s in range(S)]
        self.pi = Matrix([[*row, 1 - sum(row)] for row in free])
        self._free = free

    @property
    def dim(self) -> int:
        """Number of parameters, one a state–action pair in the order of ``TabularSoftmax``."""
        return len(self.pi)

    def score(self, s: int, a: int) -> Matrix:
        r""":math:`\nabla\log\pi(a|s)` [dim, 1]."""
        out = sympy.zeros(*self.pi.shape)
        for b in range(self.pi.shape[1]):
            out[s, b] = int(a == b) - self.pi[s, b]
        return out.reshape(self.dim, 1)

    def curvature(self, s: int) -> Matrix:
        r""":math:`\nabla^2\log\pi(a|s)` [dim, dim], the same for every action."""
        A, row = self.pi.shape[1], self.pi.row(s)
        out = sympy.zeros(self.dim, self.dim)
        out[s * A : (s + 1) * A, s * A : (s + 1) * A] = row.T * row - sympy.diag(*row)
        return out

    def gradient(self, f: Expr) -> Matrix:
        r""":math:`\nabla_\theta f` [dim, 1] of a polynomial in the probabilities, by the chain rule."""
        S, A = self.pi.shape
        slopes = [[sympy.diff(f, x) for x in row] for row in self._free]
        return Matrix(
            [
                sum(slopes[s][a] * self.pi[s, a] * (int(a == b) - self.pi[s, b]) for a in range(A - 1))
                for s in range(S)
                for b in range(A)
            ]
        )

    def hessian(self, f: Expr) -> Matrix:
        r""":math:`\nabla^2_\theta f` [dim, dim] of a polynomial in the probabilities."""
        return Matrix.hstack(*(self.gradient(slope) for slope in self.gradient(f)))

    def at(self, expression: Any, theta: Matrix) -> Any:
        """An expression or matrix in the probabilities with the softmax of symbols theta [dim, 1] put in."""
        S, A = self.pi.shape
        weights = [[sympy.exp(theta[s * A + a]) for a in range(A)] for s in range(S)]
        return expression.subs(
            {
                x: weights[s][a] / sum(weights[s])
                for s, row in enumerate(self._free)
                for a, x in enumerate(row)
            }
        )


@dataclass(frozen=True)
class Trajectory:
    r"""H decisions with their probability and the rewards-to-go :math:`\Psi_t`, discounted from time 0."""

    states: tuple[int, ...]
    actions: tuple[int, ...]
    probability: Expr
    psi: tuple[Expr, ...]

    def g(self, policy: SymbolicPolicy) -> Matrix:
        r"""GPOMDP's estimate of :math:`\nabla J_H` [dim, 1]."""
        return _sum(psi * policy.score(s, a) for psi, s, a in zip(self.psi, self.states, self.actions))

    def u(self, policy: SymbolicPolicy) -> Matrix:
        r""":math:`\nabla\log p(\tau)` [dim, 1]."""
        return _sum(policy.score(s, a) for s, a in zip(self.states, self.actions))

    def rank_one(self, policy: SymbolicPolicy) -> Matrix:
        r""":math:`g\,u^\top` [dim, dim]: how the sampling distribution moves. Not symmetric."""
        return self.g(policy) * self.u(policy).T

    def curvature(self, policy: SymbolicPolicy) -> Matrix:
        r""":math:`\nabla^2\Phi=\sum_t\Psi_t\nabla^2\log\pi(a_t|s_t)` [dim, dim]."""
        return _sum(psi * policy.curvature(s) for psi, s in zip(self.psi, self.states))

    def B(self, policy: SymbolicPolicy) -> Matrix:
        r"""The estimate of :math:`\nabla^2J_H` [dim, dim]; times v it is :math:`g(u^\top v)+\nabla^2\Phi\,v`."""
        return self.rank_one(policy) + self.curvature(policy)


def trajectories(mdp: FiniteMDP, policy: SymbolicPolicy, horizon: int) -> Iterator[Trajectory]:
    """Every trajectory of ``horizon`` decisions that has positive probability, at most 1000.

    Raises
    ------
    ValueError
        If there are more.
    """
    horizon = validate.positive_integer("horizon", horizon)
    S, A = mdp.n_states, mdp.n_actions
    if (S * A) ** horizon > MOST_TRAJECTORIES:
        raise ValueError(
            f"horizon must leave at most {MOST_TRAJECTORIES} trajectories, got {(S * A) ** horizon} for {horizon}"
        )
    P, r = rational(mdp.to_dense().P), rational(mdp.r)
    gamma, start = rational(mdp.discount), rational(mdp.start)
    for states, actions in product(product(range(S), repeat=horizon), product(range(A), repeat=horizon)):
        probability = start[states[0]]
        for t, (s, a) in enumerate(zip(states, actions)):
            probability *= policy.pi[s, a] * (P[s, a, states[t + 1]] if t + 1 < horizon else 1)
        if probability != 0:
            rewards = [gamma**t * r[s, a] for t, (s, a) in enumerate(zip(states, actions))]
            yield Trajectory(states, actions, probability, tuple(sum(rewards[t:]) for t in range(horizon)))


def expectation(
    mdp: FiniteMDP, policy: SymbolicPolicy, horizon: int, estimate: Callable[[Trajectory], Any]
) -> Any:
    r""":math:`\sum_\tau p(\tau)\,\text{estimate}(\tau)`, expanded into a polynomial in the probabilities."""
    return _sum(tau.probability * estimate(tau) for tau in trajectories(mdp, policy, horizon)).expand()


def truncated_return(mdp: FiniteMDP, policy: SymbolicPolicy, horizon: int) -> Expr:
    r""":math:`J_H` as a polynomial in the probabilities, by backward recursion (no trajectories)."""
    P, r, gamma = rational(mdp.to_dense().P), rational(mdp.r), rational(mdp.discount)
    S, A = mdp.n_states, mdp.n_actions
    V = [sympy.Integer(0)] * S
    for _ in range(validate.positive_integer("horizon", horizon)):
        V = [
            sum(
                policy.pi[s, a] * (r[s, a] + gamma * sum(P[s, a, k] * V[k] for k in range(S)))
                for a in range(A)
            )
            for s in range(S)
        ]
    return sympy.expand(sum(p * v for p, v in zip(rational(mdp.start), V)))


def bias(mdp: FiniteMDP, horizon: int) -> tuple[Matrix, Matrix]:
    r""":math:`\mathbb E\,g-\nabla J_H` [dim, 1] and :math:`\mathbb E\,B-\nabla^2J_H` [dim, dim], expanded.

    Both are the zero matrix, for every policy at once: the proof that the estimators are unbiased. The two sides
    share no formula: one sums over all trajectories, the other differentiates the Bellman recursion.
    """
    policy = SymbolicPolicy(mdp)
    J = truncated_return(mdp, policy, horizon)
    first = expectation(mdp, policy, horizon, lambda tau: tau.g(policy)) - policy.gradient(J)
    second = expectation(mdp, policy, horizon, lambda tau: tau.B(policy)) - policy.hessian(J)
    return first.expand(), second.expand()


def _sum(terms: Iterator[Any]) -> Any:
    total = next(terms)
    for term in terms:
        total += term
    return total
