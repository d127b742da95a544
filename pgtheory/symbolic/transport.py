r"""Why implicit gradient transport works, step by step in SymPy.

N-PG-IGT (arXiv:2302.01734, Alg. 1) scores its trajectory at
:math:`\tilde\theta_t=\theta_t+\frac{1-\eta_t}{\eta_t}(\theta_t-\theta_{t-1})` and averages,
:math:`d_t=(1-\eta_t)d_{t-1}+\eta_t\nabla J(\tilde\theta_t)` without the noise. The error
:math:`\hat e_t=d_t-\nabla J(\theta_t)` of the average is what the functions here write out: zero on every quadratic,
in any dimension and for any sequences of steps and momenta; second order in the step otherwise. The recursion is
second-hand (third-party notes of the paper); the closed forms for quadratics and cubics are derived here.
"""

from collections.abc import Callable

import sympy
from sympy import MatrixExpr, MatrixSymbol

from pgtheory.mdp import validate

eta = sympy.Symbol("eta", positive=True)
theta = sympy.Symbol("theta_t", real=True)
previous = sympy.Symbol(r"\theta_{t-1}", real=True)
step = sympy.Symbol("Delta", real=True)  # theta_t - theta_{t-1}
curvature, third = sympy.symbols("h kappa", real=True)  # J'' and J''' where they are constant


def quadratic_error() -> tuple[MatrixExpr, MatrixExpr]:
    r"""The error after one step on a general quadratic with :math:`\nabla J(\theta)=b+A\theta`, in n dimensions.

    Returns
    -------
    written_out : MatrixExpr [n, 1]
        :math:`(1-\eta)(\nabla J(\theta_{t-1})+\hat e)+\eta\nabla J(\tilde\theta)-\nabla J(\theta_t)` as it stands.
    expanded : MatrixExpr [n, 1]
        The same after expansion: :math:`(1-\eta)\hat e`. Whatever error there was shrinks and none is added.
    """
    n = sympy.Symbol("n", integer=True, positive=True)
    A = MatrixSymbol("A", n, n)
    b, now, before, error = (
        MatrixSymbol(name, n, 1) for name in ("b", "theta_t", r"\theta_{t-1}", r"\hat{e}")
    )
    extrapolated = now + (1 - eta) / eta * (now - before)
    written_out = (1 - eta) * (b + A * before + error) + eta * (b + A * extrapolated) - (b + A * now)
    return written_out, written_out.expand()


def extrapolated() -> sympy.Expr:
    r""":math:`\tilde\theta_t` of a parameter in one dimension."""
    return theta + (1 - eta) / eta * (theta - previous)


def transport_error(derivative: sympy.Expr, variable: sympy.Symbol) -> sympy.Expr:
    r"""What a step of transport adds to the error, :math:`(1-\eta)J'(\theta_{t-1})+\eta J'(\tilde\theta)-J'(\theta_t)`.

    Parameters
    ----------
    derivative : sympy.Expr
        :math:`J'` as an expression in ``variable``.
    variable : sympy.Symbol
        Its argument.

    Returns
    -------
    sympy.Expr
        Factored, in :math:`\eta`, :math:`\theta_t` and :math:`\Delta=\theta_t-\theta_{t-1}`.
    """
    at = _at(derivative, variable)
    return _in_steps((1 - eta) * at(previous) + eta * at(extrapolated()) - at(theta))


def momentum_error(derivative: sympy.Expr, variable: sympy.Symbol) -> sympy.Expr:
    r"""What one step of plain momentum adds: :math:`(1-\eta)J'(\theta_{t-1})+\eta J'(\theta_t)-J'(\theta_t)`.

    Parameters as in :func:`transport_error`.
    """
    at = _at(derivative, variable)
    return _in_steps((1 - eta) * (at(previous) - at(theta)))


def taylor_remainders(
    derivative: sympy.Expr, variable: sympy.Symbol
) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    r"""The first-order part and the two remainders S, Z of the error recursion.

    With :math:`S=J'(\theta_{t-1})-J'(\theta_t)-J''(\theta_t)(\theta_{t-1}-\theta_t)` and
    :math:`Z=J'(\tilde\theta)-J'(\theta_t)-J''(\theta_t)(\tilde\theta-\theta_t)`, a step adds
    :math:`(1-\eta)S+\eta Z` and the first-order part, which vanishes identically. Parameters as in
    :func:`transport_error`.

    Returns
    -------
    first_order, S, Z : sympy.Expr
    """
    at, slope = _at(derivative, variable), _at(sympy.diff(derivative, variable), variable)
    ahead = extrapolated()
    first_order = (1 - eta) * slope(theta) * (previous - theta) + eta * slope(theta) * (ahead - theta)
    S = at(previous) - at(theta) - slope(theta) * (previous - theta)
    Z = at(ahead) - at(theta) - slope(theta) * (ahead - theta)
    return _in_steps(first_order), _in_steps(S), _in_steps(Z)


def unrolled_error(derivative: sympy.Expr, variable: sympy.Symbol, steps: int) -> list[sympy.Expr]:
    r"""The errors :math:`\hat e_1,\dots,\hat e_T` from :math:`d_0=J'(\theta_0)`, with arbitrary symbols for every
    momentum and step.

    Parameters
    ----------
    derivative, variable
        As in :func:`transport_error`.
    steps : int
        T; expressions grow quickly with it.

    Returns
    -------
    list of sympy.Expr
        In ``eta_1 … eta_T``, ``Delta_1 … Delta_T`` (:math:`\Delta_t=\theta_t-\theta_{t-1}`) and ``theta_0``.
    """
    steps = validate.positive_integer("steps", steps)
    etas = sympy.symbols(f"eta_1:{steps + 1}", positive=True)
    deltas = sympy.symbols(f"Delta_1:{steps + 1}", real=True)
    at, here = _at(derivative, variable), sympy.Symbol("theta_0", real=True)
    d, errors = at(here), []
    for momentum, moved in zip(etas, deltas):
        here = here + moved
        d = (1 - momentum) * d + momentum * at(here + (1 - momentum) / momentum * moved)
        errors.append(sympy.factor(sympy.expand(d - at(here))))
    return errors


def leading_error(added: sympy.Expr, step_power: sympy.Expr, momentum_power: sympy.Expr) -> sympy.Expr:
    r"""Leading order of the error that balances what each step adds with the shrinking :math:`(1-\eta)\hat e`.

    The balance is :math:`\hat e=(1-\eta)\hat e+\text{added}`, that is :math:`\hat e=\text{added}/\eta`; with
    :math:`\Delta=x^p`, :math:`\eta=x^q` and :math:`x=2/(t+2)\to0` its leading term is taken.

    Parameters
    ----------
    added : sympy.Expr
        From :func:`transport_error` or :func:`momentum_error`, for a derivative whose result is free of
        :math:`\theta_t`.
    step_power, momentum_power : sympy.Expr or number
        p and q, exact (``sympy.Rational``).

    Returns
    -------
    sympy.Expr
        A multiple of a power of ``x``.
    """
    x = sympy.Symbol("x", positive=True)
    p, q = sympy.nsimplify(step_power), sympy.nsimplify(momentum_power)
    balance = sympy.expand(sympy.powsimp(sympy.expand(added / eta).subs({step: x**p, eta: x**q})))
    terms = sympy.Add.make_args(sympy.expand_power_base(balance))
    return sympy.powsimp(min(terms, key=lambda term: term.as_coeff_exponent(x)[1]))


def _at(expression: sympy.Expr, variable: sympy.Symbol) -> Callable[[sympy.Expr], sympy.Expr]:
    validate.instance_of("derivative", expression, sympy.Expr)
    validate.instance_of("variable", variable, sympy.Symbol)
    return lambda point: expression.subs(variable, point)


def _in_steps(expression: sympy.Expr) -> sympy.Expr:
    return sympy.factor(sympy.expand(expression.subs(previous, theta - step)))
