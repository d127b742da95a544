"""Planners: they agree within their certificates, and the certificates are true."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import pgtheory as pg
from pgtheory.mdp import METHODS, backward_induction
from pgtheory.mdp.planning.bellman import Bellman
from pgtheory.mdp.planning.certificate import certify
from pgtheory.mdp.resolvent import Krylov, SparseLU, chain_resolvent
from pgtheory.problems.agreement import random_mdp

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.booleans())
@settings(max_examples=40, deadline=None)
def test_all_planners_agree_within_their_certificates(seed, sparse):
    mdp = random_mdp(np.random.default_rng(seed), horizon=False)
    mdp = mdp.to_sparse() if sparse else mdp
    solutions = {name: pg.solve(mdp, name, tol=1e-9) for name in METHODS}
    exact = solutions["pi"]
    for name, solution in solutions.items():
        assert solution.error <= (1e-9 if name != "lp" else 1e-5), name
        gap = np.abs(solution.V - exact.V).max()
        assert gap <= solution.error + exact.error, name
        # the policy's promise: what it really earns
        earned = pg.mdp.evaluate(mdp, solution.pi).V
        assert (exact.V - earned).max() <= solution.policy_loss + exact.error + 1e-12, name


@given(seeds, st.floats(1e-6, 10.0))
@settings(max_examples=40, deadline=None)
def test_certificate_holds_for_any_guess(seed, scale):
    """MacQueen's bounds certify whatever V they are given, however bad."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, horizon=False)
    truth = pg.solve(mdp, "pi", tol=1e-12)
    guess = rng.normal(size=mdp.n_states) * scale
    guess[mdp.terminal] = 0.0
    solution = certify(Bellman(mdp), guess, "guess", 0)
    assert np.abs(solution.V - truth.V).max() <= solution.error + truth.error


def test_certificate_is_not_vacuous():
    """Shrinking the certified error fivefold breaks it on some guess: the bound is within a factor of five."""
    worst = 0.0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        mdp = random_mdp(rng, horizon=False)
        truth = pg.solve(mdp, "pi", tol=1e-12).V
        solution = certify(Bellman(mdp), rng.normal(size=mdp.n_states) * (~mdp.terminal), "guess", 0)
        worst = max(worst, np.abs(solution.V - truth).max() / solution.error)
    assert 0.2 < worst <= 1.0


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_backward_induction_is_the_best_time_dependent_policy(seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, horizon=True)
    solution = backward_induction(mdp)
    V = np.zeros(mdp.n_states)
    for h in range(mdp.horizon - 1, -1, -1):  # an independent recursion, state by state
        V = np.array(
            [
                max(
                    mdp.r[s, a] + mdp.discount * mdp.P[s, a] @ V
                    for a in range(mdp.n_actions)
                    if mdp.actions[s, a]
                )
                for s in range(mdp.n_states)
            ]
        )
        np.testing.assert_allclose(solution.V_steps[h], V, atol=1e-12)
    pi = rng.dirichlet(np.ones(mdp.n_actions), size=mdp.n_states) * mdp.actions
    pi /= pi.sum(-1, keepdims=True)
    assert pg.mdp.expected_return(mdp, pi) <= solution.J + 1e-12


def test_long_horizon_tends_to_the_discounted_solution():
    mdp = pg.make("dirichlet")
    assert pytest.approx(pg.solve(mdp, tol=1e-12).J, abs=1e-11) == backward_induction(mdp, 400).J


def test_spec_of_the_tabular_instance():
    """J_H and J_H^* of the 5-state Dirichlet instance at theta = 0 (worked number of arXiv:2302.01734's study)."""
    mdp = pg.make("dirichlet", horizon=10)
    problem = pg.ExactProblem(mdp)
    assert problem.value(np.zeros(15)) == pytest.approx(4.100210, abs=5e-7)
    assert problem.optimum == pytest.approx(5.864719, abs=5e-7)


def test_textbook_values():
    # Cliff walking: 13 steps; windy gridworld: 15 steps (Sutton & Barto, Ex. 6.6 and 6.5)
    assert pytest.approx(-(1 - 0.9**13) / 0.1, abs=1e-7) == pg.solve(pg.make("cliff", discount=0.9)).J
    assert (
        pytest.approx(-(1 - 0.9**15) / 0.1, abs=1e-7) == pg.solve(pg.make("windy-gridworld", discount=0.9)).J
    )
    # A lock of n positions opens after n right actions
    assert pytest.approx(0.9**6, abs=1e-8) == pg.solve(pg.make("combination-lock", length=7, discount=0.9)).J
    # Chain without slip: walk on for ever, 10 a step from the far end
    chain = pg.solve(pg.make("chain", slip=0.0, discount=0.95))
    assert pytest.approx(10 * 0.95**4 / 0.05, abs=1e-6) == chain.J


def test_two_state_optimum_in_rational_arithmetic():
    """Action 1 in state 0, action 0 in state 1: solve the 2 x 2 system by hand."""
    g = Fraction(9, 10)
    # V0 = 1/5 + g (V0/5 + 4 V1/5),  V1 = 1 + g (V0 + V1)/2
    a, b, c = 1 - g / 5, -4 * g / 5, Fraction(1, 5)
    d, e, f = -g / 2, 1 - g / 2, Fraction(1)
    det = a * e - b * d
    V0, V1 = (c * e - b * f) / det, (a * f - c * d) / det
    np.testing.assert_allclose(
        pg.solve(pg.make("two-state"), tol=1e-12).V, [float(V0), float(V1)], rtol=1e-12
    )


def test_unreachable_tolerance_is_reported_not_hidden():
    solution = pg.solve(pg.make("two-state"), tol=1e-18)
    assert 1e-18 < solution.error < 1e-11
    rough = pg.solve(pg.make("chain"), "vi", tol=1e-9, most=3)
    assert rough.iterations == 3
    assert rough.error > 1e-9


def test_history_of_certified_errors_decreases_to_the_tolerance():
    solution = pg.solve(pg.make("garnet", seed=3), "vi", tol=1e-9)
    assert len(solution.history) == solution.iterations
    assert solution.history[-1] <= 1e-9 < solution.history[0]


def test_large_sparse_evaluation_is_certified_and_never_densified():
    mdp = pg.make("garnet", n_states=20_000, n_actions=2, branching=4, discount=0.97, seed=1)
    pi = np.full((mdp.n_states, 2), 0.5)
    ev = pg.mdp.evaluate(mdp, pi)
    assert ev.value_error < 1e-8
    assert ev.visits_error < 1e-9
    assert ev.distribution.sum() == pytest.approx(1.0, abs=1e-12)
    assert pytest.approx((ev.visits[:, None] * pi * mdp.r).sum(), abs=1e-9) == ev.J
    small = mdp.replace(discount=0.5)
    V = np.zeros(mdp.n_states)
    for _ in range(60):
        V = (pi * (small.r + 0.5 * small.expect(V))).sum(-1)
    np.testing.assert_allclose(pg.mdp.evaluate(small, pi).V, V, atol=1e-10)


@pytest.mark.parametrize("kind", ["direct", "Krylov"])
def test_both_sparse_solvers_on_a_ring_with_a_known_answer(kind):
    """A deterministic ring is hard for BiCGSTAB, which then falls back to sweeps; the answer is certified."""
    n = 3000
    ring = sparse.csr_array((np.ones(n), (np.arange(n), (np.arange(n) + 1) % n)))
    solver = SparseLU([ring], 0.9) if kind == "direct" else Krylov([ring], 0.9, 1e-12)
    steps = (-np.arange(n)) % n
    np.testing.assert_allclose(solver.solve(np.eye(n)[None, :1])[0, 0], 0.9**steps / (1 - 0.9**n), atol=1e-11)
    back = solver.solve_transposed(np.eye(n)[None, :1])[0, 0]
    np.testing.assert_allclose(back, 0.9 ** np.arange(n) / (1 - 0.9**n), atol=1e-11)


def test_sparse_chains_are_factorised_only_where_that_is_cheap():
    n = 3000
    ring = sparse.csr_array((np.ones(n), (np.arange(n), (np.arange(n) + 1) % n)))
    jumps = pg.make("garnet", n_states=n).induced(np.full((n, 4), 0.25))[0]
    assert isinstance(chain_resolvent([ring], 0.9), SparseLU)
    assert isinstance(chain_resolvent([jumps], 0.9), Krylov)


@pytest.mark.parametrize("n", [300, 2500])
def test_a_slow_chain_near_discount_one_is_solved_in_time(n):
    """Two clusters that almost never mix: BiCGSTAB gives up, the fallback must not go on for ever."""
    rng = np.random.default_rng(0)
    half = n // 2
    rows = [rng.choice(half, 4, replace=False) + (s >= half) * half for s in range(n)]
    P = sparse.csr_array(
        (np.full(4 * n, 0.25), (np.repeat(np.arange(n), 4), np.concatenate(rows))), shape=(n, n)
    )
    leak = sparse.csr_array((np.ones(n), (np.arange(n), (np.arange(n) + half) % n)), shape=(n, n))
    gamma = 0.9999 if n == 300 else 0.999
    chain = sparse.csr_array((1 - 1e-6) * P + 1e-6 * leak)
    b = rng.normal(size=n)
    x = Krylov([chain], gamma, 1e-12).solve(b[None, None])[0, 0]
    residual = b + gamma * (chain @ x) - x
    assert np.abs(residual).max() / (1 - gamma) < 1e-6
    np.testing.assert_allclose(
        Krylov([chain], gamma, 1e-12).solve_transposed(b[None, None])[0, 0] @ b, x @ b, rtol=1e-8
    )
