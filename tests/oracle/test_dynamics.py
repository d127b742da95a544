"""Paths of expected updates, and epochs on one group."""

from itertools import product

import numpy as np
import pytest
import torch

from pgtheory.objectives import Groups, KLPenalty, Labels, recipe
from pgtheory.oracle import bandit, contextual_bandit, flow, inner_epochs, law, success, token_tree

THETA = torch.tensor([0.3, -0.2, 0.5]).double()
OLD = torch.tensor([0.0, 0.1, -0.4]).double()


def by_loop(objective, problem, theta, old, G, rate, epochs):
    """Every ordered group, one step after the other; expected return and chance of falling, largest ratio."""
    before, mask = problem.tokens(old)[0], problem.mask.double()[0]
    chances, start = problem.probabilities(old)[0], float(problem.value(theta))
    expected = falling = mass = furthest = 0.0
    for drawn in product(range(problem.rewards.shape[1]), repeat=G):
        who = torch.tensor(drawn)[None]
        rewards = problem.rewards[0][who]
        if objective.mixed_only and rewards.amax() == rewards.amin():
            continue
        here = theta.clone()
        for _ in range(epochs):
            leaf = here.clone().requires_grad_()
            now, then = problem.tokens(leaf)[0][who], before[who]
            loss = objective.group_loss(Groups(now, then, rewards, mask[who], then, then))
            here = here - rate * torch.autograd.grad(loss, leaf)[0]
        q, J = float(chances[who].prod()), float(problem.value(here))
        moved = ((problem.tokens(here)[0] - before).exp() - 1).abs() * mask
        furthest = max(furthest, float(moved[who].max()))
        expected, falling, mass = expected + q * J, falling + q * (start - 1e-12 > J), mass + q
    return expected / mass, falling / mass, furthest


@pytest.mark.parametrize("name", ["grpo", "dapo", "grpo-paper", "gbpo", "real", "cispo", "r2vpo"])
@pytest.mark.parametrize("old", [None, OLD])
def test_epochs_on_every_group(name, old):
    problem = bandit([1.0, 0.0, 0.4])
    found = inner_epochs(recipe(name), problem, THETA, 3, rate=0.8, epochs=4, theta_old=old)
    expected = by_loop(recipe(name), problem, THETA, THETA if old is None else old, 3, 0.8, 4)
    assert found.probability.sum() == pytest.approx(1)
    assert (found.expected_J, found.chance_of_falling) == (
        pytest.approx(expected[0]),
        pytest.approx(expected[1]),
    )
    assert found.largest_ratio[found.probability > 0].max() == pytest.approx(expected[2])
    assert found.J_before == pytest.approx(float(problem.value(THETA)))


def test_epochs_on_a_tree():
    problem = token_tree(2, 2, lambda answer: float(len(answer) == 2), eos=1)
    theta = torch.tensor([0.1, -0.3, 0.4, 0.2]).double()
    found = inner_epochs(recipe("gspo"), problem, theta, 3, rate=2.0, epochs=3)
    expected = by_loop(recipe("gspo"), problem, theta, theta, 3, 2.0, 3)
    assert (found.expected_J, found.largest_ratio.max()) == (
        pytest.approx(expected[0]),
        pytest.approx(expected[2]),
    )


def test_one_small_epoch_is_the_law():
    problem = bandit([1.0, 0.0, 0.4])
    found = inner_epochs(recipe("grpo"), problem, THETA, 3, rate=1e-6, epochs=1)
    mean = torch.as_tensor(found.probability) @ (found.theta - THETA) / 1e-6
    assert torch.allclose(mean, law(recipe("grpo"), problem, THETA, 3).update, atol=1e-8)


def test_flow_is_a_sequence_of_steps():
    problem, theta = success([0.2, 0.7])
    path = flow(recipe("grpo"), problem, theta, 4, rate=0.5, iterations=3)
    for _ in range(3):
        theta = theta + 0.5 * law(recipe("grpo"), problem, theta, 4).update
    assert torch.allclose(path.theta[3], theta)
    assert (path.theta.shape, path.J.shape, path.speed.shape) == ((4, 4), (4,), (3,))
    assert path.J[3] == pytest.approx(float(problem.value(theta)))
    assert (np.diff(path.J) > 0).all()


def test_a_fixed_point_that_is_no_optimum():
    """RLOO against k2 with coefficient β stops where p(1-p) = β dKL/dlogit: at logit p = logit p_ref + 1/β."""
    penalised = recipe("rloo").replace(kl=KLPenalty("k2", 0.5))
    problem, theta = success([0.3])
    start = torch.tensor([0.0, 0.0]).double()
    path = flow(penalised, problem, start, 2, rate=2.0, iterations=100, theta_ref=theta)
    gibbs = torch.sigmoid(theta[0] - theta[1] + 1 / 0.5)
    assert path.speed[-1] < 1e-8
    assert path.J[-1] == pytest.approx(float(gibbs), abs=1e-6)
    here = path.theta[-1]
    assert float(law(penalised, problem, here, 2, theta_ref=theta).update.norm()) < 1e-8


def test_equal_rewards_are_a_fixed_point():
    path = flow(recipe("grpo"), bandit([1.0, 1.0, 1.0]), THETA, 3, rate=1.0, iterations=2)
    assert torch.equal(path.theta[2], path.theta[0])
    assert (path.speed == 0).all()


def test_what_is_refused():
    problem = bandit([1.0, 0.0, 0.4])
    with pytest.raises(TypeError, match="recipe must be a Recipe"):
        inner_epochs(lambda groups: 0.0, problem, THETA, 3, rate=1.0, epochs=1)
    with pytest.raises(ValueError, match="one prompt and at most 5 groups of 3, got 1 and 10"):
        inner_epochs(recipe("grpo"), problem, THETA, 3, rate=1.0, epochs=1, max_groups=5)
    with pytest.raises(ValueError, match="one prompt"):
        inner_epochs(recipe("grpo"), contextual_bandit([[1.0], [0.0]]), [0.0, 0.0], 3, rate=1.0, epochs=1)
    with pytest.raises(ValueError, match="draw for ever"):
        inner_epochs(recipe("dapo"), bandit([1.0, 1.0]), [0.0, 0.0], 2, rate=1.0, epochs=1)
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="rate must be positive"):
            flow(recipe("grpo"), problem, THETA, 3, rate=rate, iterations=1)
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        inner_epochs(recipe("grpo").replace(credit=Labels()), problem, THETA, 3, rate=1.0, epochs=0)
