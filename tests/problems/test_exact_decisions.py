"""Losses over all decisions of an MDP: against enumeration in plain Python, and against the exact gradient."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pgtheory as pg
from pgtheory.mdp import FiniteMDP
from pgtheory.objectives import (
    BoundedRatio,
    Clip,
    Decisions,
    ImportanceWeighted,
    RatioVariance,
    ratio_variance,
    weighted_sum,
)
from pgtheory.problems.agreement import random_mdp
from pgtheory.problems.decisions import exact_decisions

seeds = st.integers(0, 2**32 - 1)
LOSSES = {
    "importance-weighted": (ImportanceWeighted(), lambda rho, A: -rho * A),
    "clip": (Clip(0.2), lambda rho, A: -min(rho * A, min(max(rho, 0.8), 1.2) * A)),
    "bounded": (
        BoundedRatio(0.2, temperature=0.5),
        lambda rho, A: abs(A) * abs(rho - 1 - 0.2 * math.tanh(A)),
    ),
    "tv": (
        BoundedRatio(0.2, temperature=0.5, divergence="tv"),
        lambda rho, A: abs(rho - 1 - 0.2 * math.tanh(A)),
    ),
    "variance": (RatioVariance(0.5), lambda rho, A: 0.5 * (rho - 1) ** 2 - rho * A),
}


def examples(n):
    return settings(max_examples=n, deadline=None)


def policies(rng, mdp, batch=()):
    """Two random policies [..., S, A] on the permitted actions, the first one as log-probabilities."""
    logits = rng.normal(size=(2, *batch, *mdp.actions.shape))
    logits = torch.as_tensor(np.where(mdp.actions, logits, -np.inf))
    return logits.log_softmax(-1)[0], logits.softmax(-1)[1].numpy()


def expected(mdp, pi, pi_old, loss):
    """Sum over states and actions, with values and visits from linear systems of our own."""
    S, gamma = mdp.n_states, mdp.discount
    P = np.einsum("sa,sat->st", pi_old, mdp.P)
    V = np.linalg.solve(np.eye(S) - gamma * P, (pi_old * mdp.r).sum(1))
    d = np.linalg.solve(np.eye(S) - gamma * P.T, mdp.start)
    total = 0.0
    for s in range(S):
        for a in range(mdp.n_actions):
            if pi_old[s, a] > 0 and not mdp.terminal[s]:
                A = mdp.r[s, a] + gamma * mdp.P[s, a] @ V - V[s]
                total += d[s] * pi_old[s, a] * loss(pi[s, a] / pi_old[s, a], A)
    return total


@pytest.mark.parametrize("name", LOSSES)
@given(seed=seeds)
@examples(15)
def test_losses_are_exact_expectations(name, seed):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, horizon=False)
    log_pi, pi_old = policies(rng, mdp)
    surrogate, by_hand = LOSSES[name]
    batch = exact_decisions(mdp, log_pi, pi_old)
    found = weighted_sum(surrogate(batch), batch.weights).item()
    assert found == pytest.approx(expected(mdp, log_pi.exp().numpy(), pi_old, by_hand), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("surrogate", [ImportanceWeighted(), Clip(0.2), RatioVariance(3.0)], ids=repr)
@given(seed=seeds)
@examples(15)
def test_gradient_at_the_old_policy_is_the_policy_gradient(surrogate, seed):
    rng = np.random.default_rng(seed)
    problem = pg.ExactProblem(random_mdp(rng, horizon=False))
    theta = rng.normal(size=problem.dim)
    permitted = torch.tensor(problem.mdp.actions)
    parameters = torch.as_tensor(theta).requires_grad_()
    logits = torch.full(permitted.shape, -torch.inf, dtype=torch.float64)
    logits = logits.masked_scatter(permitted, parameters.reshape(permitted.shape)[permitted])
    batch = exact_decisions(problem.mdp, logits.log_softmax(-1), problem.policy.probabilities(theta))
    loss = weighted_sum(surrogate(batch), batch.weights)
    (gradient,) = torch.autograd.grad(loss, parameters)
    wanted = -problem.gradient(theta)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-9 * (1 + np.abs(wanted).max()))


def test_the_first_order_loss_is_the_gain_of_a_small_step():
    """Performance difference: J(new) - J(old) = -loss + O(step²), the loss in units of return."""
    rng = np.random.default_rng(0)
    problem = pg.ExactProblem(random_mdp(rng, horizon=False))
    theta, step = rng.normal(size=(2, problem.dim))
    pi_old, errors = problem.policy.probabilities(theta), []
    for h in (1e-2, 1e-3):
        log_pi = torch.as_tensor(problem.policy.probabilities(theta + h * step)).log()
        batch = exact_decisions(problem.mdp, log_pi, pi_old)
        gain = problem.value(theta + h * step) - problem.value(theta)
        errors.append(abs(gain + weighted_sum(ImportanceWeighted()(batch), batch.weights).item()))
    assert errors[1] < errors[0] / 80


def two_states():
    """brrl.md, check 3."""
    P = [[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.0, 1.0]]]
    return FiniteMDP(P, [[1.0, 0.0], [0.0, 2.0]], 0.9, [1.0, 0.0]), np.array([[0.6, 0.4], [0.7, 0.3]])


def test_two_states():
    """brrl.md, check 3: the mean baseline is 6 everywhere; the soft medians give the optimum's targets."""
    mdp, pi_old = two_states()
    batch = exact_decisions(mdp, torch.as_tensor(pi_old).log(), pi_old)
    np.testing.assert_allclose(batch.advantage, [[0.4, -0.6], [-0.6, 1.4]], atol=1e-12)
    assert batch.weights.sum().item() == pytest.approx(10)
    median = batch.advantage + 6 - torch.tensor([[6.016464], [5.816437]], dtype=torch.float64)
    target = BoundedRatio(0.2, temperature=0.5).target(batch.replace(median_advantage=median))
    best = [[0.643893, 0.356107], [0.644851, 0.355149]]
    np.testing.assert_allclose(target * torch.as_tensor(pi_old), best, atol=1e-6)


def test_batches_of_policies():
    rng = np.random.default_rng(1)
    mdp = random_mdp(rng, horizon=False)
    log_pi, pi_old = policies(rng, mdp, (2, 3))
    batch = exact_decisions(mdp, log_pi, pi_old)
    assert batch.log_prob.shape == (2, 3, *mdp.actions.shape)
    for i in np.ndindex(2, 3):
        alone = exact_decisions(mdp, log_pi[i], pi_old[i])
        for name in ("log_prob", "log_prob_old", "advantage", "weight"):
            np.testing.assert_allclose(getattr(batch, name)[i], getattr(alone, name), rtol=1e-10, atol=1e-12)


def test_actions_that_the_old_policy_never_takes_count_for_nothing():
    mdp, pi_old = two_states()
    pi_old = np.array([[1.0, 0.0], [0.7, 0.3]])
    losses = []
    for anything in (-torch.inf, 0.0, torch.nan):
        log_pi = torch.log(torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64))
        log_pi[0, 1] = anything
        batch = exact_decisions(mdp, log_pi.requires_grad_(), pi_old)
        loss = sum(weighted_sum(surrogate(batch), batch.weights) for surrogate, _ in LOSSES.values())
        (gradient,) = torch.autograd.grad(loss, log_pi)
        assert gradient.isfinite().all()
        assert gradient[0, 1] == 0
        losses.append(loss.item())
    assert losses[0] == losses[1] == losses[2]
    assert math.isfinite(losses[0])


def test_nothing_is_decided_in_terminal_states():
    P = np.array([[[0.5, 0.5], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    mdp = FiniteMDP(P, [[1.0, 0.0], [0.0, 0.0]], 0.9, [1.0, 0.0], terminal=[False, True])
    pi_old = np.full((2, 2), 0.5)
    log_pi = torch.tensor([[0.5, 0.5], [0.99, 0.01]], dtype=torch.float64).log()
    batch = exact_decisions(mdp, log_pi, pi_old)
    assert not batch.weights[1].any()
    assert ratio_variance(batch).item() == 0


def test_dtype_of_the_learner():
    mdp, pi_old = two_states()
    batch = exact_decisions(mdp, torch.as_tensor(pi_old).log().float(), pi_old)
    assert {t.dtype for t in (batch.log_prob_old, batch.advantage, batch.weight)} == {torch.float32}
    assert isinstance(batch, Decisions)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mdp": "chain"}, TypeError, "^mdp must"),
        ({"log_pi": np.zeros((2, 2))}, TypeError, "^log_pi must"),
        ({"log_pi": torch.zeros(2, 2, dtype=torch.int64)}, TypeError, "^log_pi must"),
        ({"log_pi": torch.zeros(3, 2, 2)}, ValueError, "^log_pi must have the shape of pi_old"),
        ({"pi_old": np.full((2, 2), 0.6)}, ValueError, "^rows of pi must sum to one"),
        ({"mdp": two_states()[0].replace(horizon=3)}, ValueError, "^mdp must have an infinite horizon"),
    ],
)
def test_door(arguments, error, message):
    mdp, pi_old = two_states()
    with pytest.raises(error, match=message):
        exact_decisions(**{"mdp": mdp, "log_pi": torch.as_tensor(pi_old).log(), "pi_old": pi_old} | arguments)
