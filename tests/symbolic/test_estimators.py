"""The trajectory estimators as polynomials: unbiased, and with the numbers worked out by hand."""

import numpy as np
import pytest
import sympy

from pgtheory import FiniteMDP, make, symbolic
from pgtheory.symbolic import estimators
from pgtheory.symbolic.estimators import SymbolicPolicy, bias, expectation, trajectories

MDP = make("two-state")
POLICY = SymbolicPolicy(MDP)
THETA = np.array([0.3, -0.2, 0.5, 0.1])
V = np.array([1.0, 0.0, -0.5, 0.25])
six = {"rtol": 0, "atol": 5.1e-7}


def at_theta(expression):
    symbols = symbolic.softmax_return(MDP, 1)[1]
    return symbolic.evaluate(POLICY.at(expression, symbols), symbols, THETA)


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_unbiased_for_every_policy_of_the_two_state_mdp(horizon):
    first, second = bias(MDP, horizon)
    assert first == sympy.zeros(4, 1)
    assert second == sympy.zeros(4, 4)


def test_unbiased_with_three_actions():
    P = np.array([[[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.1, 0.9], [0.3, 0.7]]])
    mdp = FiniteMDP(P, [[1, 0, -0.5], [0.25, 2, 0]], discount=0.5, start=[0.2, 0.8])
    first, second = bias(mdp, 2)
    assert first.is_zero_matrix
    assert second.is_zero_matrix


def test_neither_part_of_B_is_unbiased_alone():
    hessian = POLICY.hessian(estimators.truncated_return(MDP, POLICY, 2))
    for part in (lambda tau: tau.curvature(POLICY), lambda tau: tau.rank_one(POLICY)):
        assert not (expectation(MDP, POLICY, 2, part) - hessian).expand().is_zero_matrix
    wrong_sign = expectation(MDP, POLICY, 2, lambda tau: tau.curvature(POLICY) - tau.rank_one(POLICY))
    assert not (wrong_sign - hessian).expand().is_zero_matrix


def test_the_hessian_is_that_of_the_return_in_exponentials():
    """Another route to the same: SymPy's derivatives of the softmax itself."""
    J, theta = symbolic.softmax_return(MDP, 2)
    direct = symbolic.evaluate(symbolic.hessian(J, theta), theta, THETA)
    mean = at_theta(expectation(MDP, POLICY, 2, lambda tau: tau.B(POLICY)))
    np.testing.assert_allclose(mean, direct, rtol=0, atol=1e-15)


def test_one_trajectory():
    (tau,) = (x for x in trajectories(MDP, POLICY, 3) if (x.states, x.actions) == ((0, 1, 1), (1, 0, 1)))
    np.testing.assert_allclose([float(x) for x in tau.psi], [0.695, 0.495, -0.405], atol=1e-15)
    np.testing.assert_allclose(at_theta(tau.g(POLICY)), [-0.432609, 0.432609, 0.441118, -0.441118], **six)
    np.testing.assert_allclose(at_theta(tau.u(POLICY)), [-0.622459, 0.622459, -0.197375, 0.197375], **six)
    B = at_theta(tau.B(POLICY))
    np.testing.assert_allclose(B @ V, [0.041914, -0.041914, -0.193061, 0.193061], **six)
    assert np.abs(B - B.T).max() > 0.01  # one trajectory's estimate is not symmetric


def test_all_trajectories():
    found = list(trajectories(MDP, POLICY, 3))
    assert sum(tau.probability for tau in found).expand() == 1
    mean_u = expectation(MDP, POLICY, 3, lambda tau: tau.u(POLICY))
    assert mean_u.is_zero_matrix
    mean_curvature = at_theta(expectation(MDP, POLICY, 3, lambda tau: tau.curvature(POLICY)))
    np.testing.assert_allclose(mean_curvature @ V, [-0.107054, 0.107054, 0.128718, -0.128718], **six)
    mean_B = at_theta(expectation(MDP, POLICY, 3, lambda tau: tau.B(POLICY)))
    np.testing.assert_allclose(mean_B @ V, [0.062364, -0.062364, 0.025894, -0.025894], **six)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at most 4 states"):
        SymbolicPolicy(make("dirichlet"))
    with pytest.raises(ValueError, match="must permit every action"):
        SymbolicPolicy(MDP.replace(rewards=[[0, 0.2], [1, 0]], actions=[[True, True], [True, False]]))
    with pytest.raises(ValueError, match="at most 1000 trajectories, got 1024 for 5"):
        list(trajectories(MDP, POLICY, 5))
