"""What extrapolation cancels, as identities between expressions."""

import pytest
import sympy
from sympy import Rational

from pgtheory.symbolic import transport
from pgtheory.symbolic.transport import curvature, eta, step, theta, third

u = sympy.Symbol("u", real=True)
OFFSET = sympy.Symbol("b", real=True)
QUADRATIC = OFFSET + curvature * u
CUBIC = QUADRATIC + third * u**2 / 2


def test_a_step_on_any_quadratic_only_shrinks_the_error():
    written_out, expanded = transport.quadratic_error()
    assert expanded == (1 - eta) * sympy.MatrixSymbol(r"\hat{e}", *written_out.shape)
    assert written_out.has(sympy.MatrixSymbol("A", written_out.shape[0], written_out.shape[0]))


def test_on_a_quadratic_any_sequences_of_steps_and_momenta_leave_no_error():
    assert transport.unrolled_error(QUADRATIC, u, 4) == [0] * 4


def test_what_a_cubic_leaves():
    expected = third * step**2 * (1 - eta) / (2 * eta)
    assert sympy.simplify(transport.transport_error(CUBIC, u) - expected) == 0
    first, *_ = transport.unrolled_error(CUBIC, u, 1)
    moved, momentum = sympy.Symbol("Delta_1", real=True), sympy.Symbol("eta_1", positive=True)
    assert sympy.simplify(first - expected.subs({step: moved, eta: momentum})) == 0


@pytest.mark.parametrize("derivative", [QUADRATIC, CUBIC, u**3 - u, sympy.sin(u)])
def test_first_order_parts_cancel_and_the_remainders_make_up_the_error(derivative):
    first_order, S, Z = transport.taylor_remainders(derivative, u)
    assert first_order == 0
    whole = transport.transport_error(derivative, u)
    assert sympy.simplify(whole - (1 - eta) * S - eta * Z) == 0


def test_momentum_lags_in_first_order():
    assert sympy.expand(transport.momentum_error(QUADRATIC, u) + (1 - eta) * curvature * step) == 0
    assert transport.momentum_error(CUBIC, u).has(theta)


def test_leading_orders_at_the_schedules_of_the_theory():
    x = sympy.Symbol("x", positive=True)
    igt = transport.leading_error(transport.transport_error(CUBIC, u), 1, Rational(4, 5))
    momentum = transport.leading_error(transport.momentum_error(QUADRATIC, u), 1, Rational(2, 3))
    assert igt == third * x ** Rational(2, 5) / 2
    assert momentum == -curvature * x ** Rational(1, 3)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="steps must be at least 1"):
        transport.unrolled_error(QUADRATIC, u, 0)
    with pytest.raises(TypeError, match="derivative must be a Expr"):
        transport.transport_error(lambda x: x, u)
    with pytest.raises(TypeError, match="variable must be a Symbol"):
        transport.transport_error(QUADRATIC, "u")
