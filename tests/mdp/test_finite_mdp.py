"""FiniteMDP stores one canonical, immutable form, dense or CSR, and both forms compute the same numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import pgtheory as pg
from pgtheory.mdp import FiniteMDP, layered, unroll
from pgtheory.problems.agreement import random_mdp

seeds = st.integers(0, 2**32 - 1)


def uniform(mdp):
    return mdp.actions / mdp.actions.sum(-1, keepdims=True)


@given(seeds, st.booleans())
@settings(max_examples=40, deadline=None)
def test_dense_and_sparse_agree_on_everything(seed, horizon):
    rng = np.random.default_rng(seed)
    dense = random_mdp(rng, horizon)
    thin = dense.to_sparse()
    assert thin.is_sparse
    assert not thin.to_dense().is_sparse
    V, w = rng.normal(size=(3, dense.n_states)), rng.uniform(size=(3, dense.n_states, dense.n_actions))
    np.testing.assert_allclose(thin.expect(V), dense.expect(V), atol=1e-13)
    np.testing.assert_allclose(thin.push(w), dense.push(w), atol=1e-13)
    a, b = pg.mdp.evaluate(dense, uniform(dense)), pg.mdp.evaluate(thin, uniform(dense))
    np.testing.assert_allclose(a.V, b.V, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(a.visits, b.visits, rtol=1e-11, atol=1e-12)
    theta = rng.normal(size=dense.n_states * dense.n_actions)
    v = rng.normal(size=theta.shape)
    p, q = pg.ExactProblem(dense), pg.ExactProblem(thin)
    np.testing.assert_allclose(q.gradient(theta), p.gradient(theta), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(q.hvp(theta, v), p.hvp(theta, v), rtol=1e-9, atol=1e-10)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_transition_rewards_give_the_same_expected_rewards(seed):
    rng = np.random.default_rng(seed)
    P, R = rng.dirichlet(np.ones(4), size=(4, 2)), rng.normal(size=(4, 2, 4))
    dense = FiniteMDP(P, R, 0.9)
    np.testing.assert_allclose(dense.r, (P * R).sum(-1), atol=1e-14)
    both = FiniteMDP(sparse.csr_array(P.reshape(8, 4)), sparse.csr_array(R.reshape(8, 4)), 0.9)
    np.testing.assert_allclose(both.r, dense.r, atol=1e-14)
    mixed = FiniteMDP(sparse.csr_array(P.reshape(8, 4)), R, 0.9)
    np.testing.assert_allclose(mixed.r, dense.r, atol=1e-14)


def test_arrays_are_copied_and_read_only():
    P, r = np.full((2, 2, 2), 0.5), np.zeros((2, 2))
    mdp = FiniteMDP(P, r, 0.5)
    P[0, 0] = 0.0
    r[0, 0] = 9.0
    assert mdp.P[0, 0].sum() == 1.0
    assert mdp.r[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        mdp.P[0, 0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        mdp.to_sparse().pairs.data[0] = 1.0


@pytest.mark.parametrize(
    "kind", ["integer rewards", "Fortran order", "read-only", "float32", "list", "0/1 mask"]
)
def test_harmless_oddities_are_accepted(kind):
    P, r, options = np.full((2, 2, 2), 0.5), np.ones((2, 2)), {}
    if kind == "integer rewards":
        r = r.astype(int)
    elif kind == "Fortran order":
        P = np.asfortranarray(P)
    elif kind == "read-only":
        P.flags.writeable = False
    elif kind == "float32":
        P = np.full((3, 2, 3), 1 / 3, np.float32)
        r = np.ones((3, 2), np.float32)
    elif kind == "list":
        P, r = P.tolist(), r.tolist()
    else:
        options = {"actions": [[1, 0], [1, 1]]}
    mdp = FiniteMDP(P, r, 0.5, **options)
    assert mdp.P.dtype == mdp.r.dtype == np.float64
    np.testing.assert_allclose(mdp.P.sum(-1)[mdp.actions], 1.0, rtol=1e-15)
    np.testing.assert_allclose(pg.solve(mdp).V, 2.0, rtol=1e-8)


def test_nearly_stochastic_rows_are_normalised_to_rounding():
    P = np.full((2, 1, 2), 0.5 + 3e-9)
    np.testing.assert_allclose(FiniteMDP(P, np.zeros((2, 1)), 0.9).P.sum(-1), 1.0, rtol=1e-15)
    thin = FiniteMDP(sparse.csr_array(P.reshape(2, 2)), np.zeros((2, 1)), 0.9)
    np.testing.assert_allclose(thin.pairs.sum(axis=1), 1.0, rtol=1e-15)


def test_terminal_states_end_the_episode():
    P = np.zeros((3, 1, 3))
    P[0, 0, 1], P[1, 0, 2] = 1.0, 1.0  # the terminal row may be empty
    for form in (P, sparse.csr_array(P.reshape(3, 3))):
        mdp = FiniteMDP(form, [[1.0], [2.0], [0.0]], 0.5, terminal=[False, False, True])
        ev = pg.mdp.evaluate(mdp, np.ones((3, 1)))
        np.testing.assert_allclose(ev.V, [2.0, 2.0, 0.0])
        np.testing.assert_allclose(mdp.start, [0.5, 0.5, 0.0])
        np.testing.assert_allclose(mdp.to_dense().P[2, 0], [0, 0, 1])


def test_forbidden_actions_are_never_chosen_and_carry_no_gradient():
    P = np.full((2, 3, 2), 0.5)
    r = np.array([[0.0, 1.0, 100.0], [0.0, 0.0, 0.0]])
    mdp = FiniteMDP(P, r, 0.9, actions=[[True, True, False], [True, True, True]])
    assert pg.solve(mdp).policy[0] == 1
    problem = pg.ExactProblem(mdp)
    theta = np.zeros(problem.dim)
    assert problem.policy.probabilities(theta)[0, 2] == 0.0
    assert problem.gradient(theta)[2] == 0.0
    assert problem.natural_gradient(theta)[2] == 0.0
    np.testing.assert_array_equal(problem.hessian(theta)[2], 0.0)


def test_layered_mdp_is_the_time_dependent_problem():
    rng = np.random.default_rng(0)
    sizes = (2, 3, 1)
    steps = [rng.dirichlet(np.ones(sizes[h + 1]), size=(sizes[h], 2)) for h in range(2)]
    rewards = [rng.normal(size=(n, 2)) for n in sizes]
    mdp = layered(steps, rewards, [0.25, 0.75])
    assert mdp.horizon == 3
    assert mdp.discount == 1.0
    V2 = rewards[2].max(-1)
    V1 = (rewards[1] + steps[1] @ V2).max(-1)
    V0 = (rewards[0] + steps[0] @ V1).max(-1)
    assert pytest.approx([0.25, 0.75] @ V0) == pg.solve(mdp).J


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_unrolling_keeps_the_optimum_and_the_value_of_every_policy(seed):
    rng = np.random.default_rng(seed)
    mdp = pg.make("dirichlet", n_states=3, n_actions=2, horizon=4, seed=seed % 1000)
    flat = unroll(mdp)
    assert pytest.approx(pg.solve(mdp).J, rel=1e-12) == pg.solve(flat).J
    pi = rng.dirichlet(np.ones(2), size=3)
    lifted = np.vstack([np.tile(pi, (4, 1)), [[1.0, 0.0]]])
    assert pg.mdp.expected_return(flat, lifted) == pytest.approx(pg.mdp.expected_return(mdp, pi), rel=1e-12)


def test_repr_says_what_it_is():
    assert "two-state: S=2, A=2, discount=0.9, dense" in repr(pg.make("two-state"))
    assert "CSR" in repr(pg.make("taxi"))
    assert "horizon=3" in repr(pg.make("two-state", horizon=3))


def test_evaluation_leaves_the_callers_policy_alone():
    mdp = pg.make("garnet", n_states=30, sparse=True)
    pi = np.eye(mdp.n_actions)[np.zeros(30, int)]
    before = pi.copy()
    pg.mdp.evaluate(mdp, pi)
    np.testing.assert_array_equal(pi, before)
