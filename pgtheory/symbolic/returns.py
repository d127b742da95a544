r"""The return of a softmax policy on a tiny MDP, and its derivatives, as SymPy expressions."""

from typing import Any

import numpy as np
import sympy

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP

MOST_STATES = 4  # symbolic elimination grows fast


def softmax_return(mdp: FiniteMDP, horizon: int | None = None) -> tuple[sympy.Expr, sympy.Matrix]:
    r""":math:`J(\theta)` of the tabular softmax policy, and its parameters.

    Parameters
    ----------
    mdp : FiniteMDP
        At most 4 states; its numbers become exact rationals (0.1 is 1/10).
    horizon : int, optional
        Truncate; the MDP's own horizon by default.

    Returns
    -------
    J : sympy.Expr
    theta : sympy.Matrix [S*A, 1]
        Symbols ``theta_sa``, ordered as the flat parameter vector of ``TabularSoftmax``.
    """
    check_size(mdp)
    H = mdp.horizon if horizon is None else validate.positive_integer("horizon", horizon)
    S, A = mdp.n_states, mdp.n_actions
    theta = sympy.Matrix([sympy.Symbol(f"theta_{s}{a}", real=True) for s in range(S) for a in range(A)])
    pi = sympy.zeros(S, A)
    for s in range(S):
        weights = [sympy.exp(theta[s * A + a]) if mdp.actions[s, a] else sympy.Integer(0) for a in range(A)]
        for a in range(A):
            pi[s, a] = weights[a] / sum(weights)
    P, r = rational(mdp.to_dense().P), rational(mdp.r)
    gamma, rho = rational(mdp.discount), sympy.Matrix(rational(mdp.start).tolist())
    P_pi = sympy.Matrix(S, S, lambda s, t: sum(pi[s, a] * P[s, a, t] for a in range(A)))
    r_pi = sympy.Matrix(S, 1, lambda s, _: sum(pi[s, a] * r[s, a] for a in range(A)))
    if H is None:
        V = (sympy.eye(S) - gamma * P_pi).LUsolve(r_pi)
    else:
        V = sympy.zeros(S, 1)
        for _ in range(H):
            V = r_pi + gamma * P_pi * V
    return (rho.T * V)[0, 0], theta


def gradient(J: sympy.Expr, theta: sympy.Matrix) -> sympy.Matrix:
    r""":math:`\nabla J` as a column [dim, 1]."""
    return sympy.Matrix([sympy.diff(J, x) for x in theta])


def hessian(J: sympy.Expr, theta: sympy.Matrix) -> sympy.Matrix:
    r""":math:`\nabla^2J` [dim, dim]."""
    return sympy.hessian(J, list(theta))


def evaluate(expression: Any, theta: sympy.Matrix, values: Any, digits: int = 30) -> np.ndarray:
    """An expression or matrix at numerical parameters [dim], with ``digits`` digits of working precision."""
    values = validate.real_array("values", values, (len(theta),), "[dim]")
    digits = validate.positive_integer("digits", digits)
    at = {x: sympy.Float(repr(float(v)), digits) for x, v in zip(theta, values)}
    number = sympy.Matrix([[expression]]) if isinstance(expression, sympy.Expr) else expression
    out = np.array(number.evalf(digits, subs=at).tolist(), dtype=float)
    return out[0, 0] if isinstance(expression, sympy.Expr) else out.squeeze()


def check_size(mdp: FiniteMDP) -> None:
    """Refuse what is no MDP, or one too large for symbolic elimination."""
    validate.instance_of("mdp", mdp, FiniteMDP)
    if mdp.n_states > MOST_STATES:
        raise ValueError(f"mdp must have at most {MOST_STATES} states for symbolic work, got {mdp.n_states}")


def rational(x: Any) -> Any:
    """Numbers or arrays of them as exact rationals, by their shortest decimal form: 0.1 is 1/10."""
    exact = np.vectorize(lambda v: sympy.Rational(repr(float(v))), otypes=[object])(np.asarray(x))
    return exact[()] if exact.ndim == 0 else exact
