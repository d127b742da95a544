"""Planning with forbidden actions and costs only: a forbidden action is worth -inf, not zero."""

from itertools import product

import numpy as np
import pytest

import pgtheory as pg
from pgtheory.mdp import METHODS, FiniteMDP, evaluate


def costly(seed):
    """A random MDP all of whose rewards are negative, with at least one forbidden action."""
    rng = np.random.default_rng(seed)
    S, A = 3, 3
    actions = rng.random((S, A)) < 0.6
    actions[np.arange(S), rng.integers(A, size=S)] = True
    actions[0] = [True, False, True]
    return FiniteMDP(rng.dirichlet(np.ones(S), size=(S, A)), -rng.uniform(1, 2, (S, A)), 0.9, actions=actions)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sparse", [False, True])
def test_every_planner_finds_the_best_permitted_policy(seed, sparse):
    mdp = costly(seed)
    mdp = mdp.to_sparse() if sparse else mdp
    permitted = [np.flatnonzero(row) for row in mdp.actions]
    policies = np.eye(3)[np.array(list(product(*permitted)))]
    best = evaluate(mdp, policies).V.max(axis=0)
    for method in METHODS:
        solution = pg.solve(mdp, method)
        assert mdp.actions[np.arange(3), solution.policy].all(), method
        np.testing.assert_allclose(solution.V, best, atol=1e-6, err_msg=method)
        assert (solution.Q[~mdp.actions] == -np.inf).all()


@pytest.mark.parametrize("seed", range(4))
def test_backward_induction_never_takes_a_forbidden_action(seed):
    mdp = costly(seed)
    solution = pg.solve(mdp.replace(horizon=2))
    one_left = np.where(mdp.actions, mdp.r, -np.inf).max(-1)
    two_left = np.where(mdp.actions, mdp.r + 0.9 * mdp.P @ one_left, -np.inf).max(-1)
    np.testing.assert_allclose(solution.V, two_left, rtol=1e-14)
    assert mdp.actions[np.arange(3), solution.policy_steps].all()
