"""Objectives from elsewhere: functions of groups, or of tensors by name."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from brute_force import update_law

from pgtheory.objectives import Groups, recipe
from pgtheory.oracle import bandit, effective_scale, examine, flow, law, success, token_tree

PROBLEM = token_tree(2, 2, lambda answer: float(sum(answer) == 1), eos=1)
THETA = torch.as_tensor(np.random.default_rng(0).normal(size=PROBLEM.dim))


def plain(groups: Groups) -> torch.Tensor:
    """Dr. GRPO over sequences."""
    centred = groups.rewards - groups.rewards.mean(-1, keepdim=True)
    return -(centred[..., None] * groups.mask * groups.log_prob).sum() / groups.rewards.numel()


def by_name(log_prob, rewards, mask):
    return plain(Groups(log_prob, log_prob, rewards, mask))


def in_place(log_prob, log_prob_old, rewards, mask, epsilon=0.2):
    """Loops, ``item()``, masks by index and writes in place, as library code does: nothing that vmap can trace."""
    advantages = torch.zeros_like(rewards)
    for p in range(rewards.shape[0]):
        std = rewards[p].std().item()
        if std > 0:
            advantages[p] = (rewards[p] - rewards[p].mean()) / (std + 1e-6)
    rewards -= rewards.mean()
    ratio = (log_prob - log_prob_old).exp()
    spread = advantages[..., None].expand_as(ratio).clone()
    spread[mask == 0] = 0
    loss = -torch.min(ratio * spread, ratio.clamp(1 - epsilon, 1 + epsilon) * spread)
    return loss[mask.bool()].mean()


def surprised(log_prob, log_prob_ref, rewards, mask):
    """Weighs tokens by their probabilities under both policies: classes by log-ratios would be too coarse."""
    weight = (log_prob.exp() * log_prob_ref.exp()).detach() * mask
    return -((rewards - rewards.mean(-1, keepdim=True))[..., None] * weight * log_prob).sum()


def constant_without_credit(log_prob, rewards):
    if rewards.std() == 0:
        return torch.zeros(())
    return -((rewards - rewards.mean()) * log_prob[..., 0]).mean()


class Library:
    """A method, and an object that is called."""

    def loss(self, log_prob, mask, rewards, *, scale=1.0):
        return scale * by_name(log_prob, rewards, mask)

    def __call__(self, groups):
        return plain(groups)


@pytest.mark.parametrize("objective", [plain, by_name, Library().loss, Library()])
def test_every_way_to_take_a_group(objective):
    update, trace = update_law(plain, PROBLEM, THETA, 3)
    found = law(objective, PROBLEM, THETA, 3)
    assert torch.allclose(found.update, update)
    assert found.covariance_trace == pytest.approx(trace)


def test_code_that_vmap_cannot_trace():
    update, trace = update_law(
        recipe("grpo").replace(surrogate=recipe("grpo-trl").surrogate), PROBLEM, THETA, 3
    )
    rewards = PROBLEM.rewards.clone()
    found = law(in_place, PROBLEM, THETA, 3)
    assert torch.allclose(found.update, update)
    assert found.covariance_trace == pytest.approx(trace)
    assert torch.equal(PROBLEM.rewards, rewards)


def test_functions_may_look_at_the_probabilities():
    theta_ref = torch.as_tensor(np.random.default_rng(1).normal(size=PROBLEM.dim))
    by_groups = lambda g: surprised(g.log_prob, g.log_prob_ref, g.rewards, g.mask)
    problem = bandit([1.0, 1.0, 0.0, 0.0])
    for here, theta, places in (
        (PROBLEM, THETA, {"theta_ref": theta_ref}),
        (problem, torch.tensor([0.3, -1.0, 0.5, 0.0]).double(), {}),
    ):
        update, trace = update_law(by_groups, here, theta, 3, **places)
        found = law(surprised, here, theta, 3, **places)
        assert torch.allclose(found.update, update)
        assert found.covariance_trace == pytest.approx(trace)


@dataclass(frozen=True)
class Confident:
    """A surrogate of one's own in a recipe: it too may look at more than ratios."""

    def __call__(self, decisions):
        return (
            -decisions.advantage * decisions.log_prob.exp().detach() * decisions.log_prob * decisions.weights
        )


def test_a_recipe_with_a_part_from_elsewhere():
    mine = recipe("rloo").replace(surrogate=Confident(), name="mine")
    problem, theta = bandit([1.0, 1.0, 0.0]), torch.tensor([0.3, -1.0, 0.5]).double()
    update, trace = update_law(mine, problem, theta, 3)
    found = law(mine, problem, theta, 3)
    assert torch.allclose(found.update, update)
    assert found.covariance_trace == pytest.approx(trace)
    scales = [law(mine, *success([p]), 3).scale for p in (0.1, 0.6)]
    assert np.allclose(effective_scale(mine, 3, [0.1, 0.6]), scales)


def test_a_group_without_credit_may_return_a_constant():
    found = law(constant_without_credit, *success([0.3]), 4)
    assert found.scale == pytest.approx(3 / 4)


def first_is_the_baseline(log_prob, rewards):
    return -((rewards - rewards[:, :1]) * log_prob[..., 0]).mean()


def test_the_order_of_answers_must_not_matter():
    problem, theta = success([0.3])
    with pytest.raises(ValueError, match="order of a group's answers"):
        law(first_is_the_baseline, problem, theta, 3)
    rng = np.random.default_rng(0)
    found = law(first_is_the_baseline, problem, theta, 3, max_terms=0, rng=rng, samples=2000)
    groups = lambda g: first_is_the_baseline(g.log_prob, g.rewards)
    update, _ = update_law(groups, problem, theta, 3)
    assert float((found.update - update).norm()) < 4 * found.standard_error


def test_an_examination():
    found = examine(by_name, p=[0.1, 0.5], group_size=4)
    assert found.places == ["p = 0.1", "p = 0.5"]
    assert [row["scale"] for row in found.rows()] == [pytest.approx(0.75)] * 2
    text = str(found)
    assert text.startswith("by_name\n")
    assert text.count("0.750000") == 2
    elsewhere = examine(recipe("grpo"), PROBLEM, THETA, group_size=3)
    assert (elsewhere.name, elsewhere.places) == ("grpo", ["token tree"])
    assert elsewhere.laws[0].scale == pytest.approx(law(recipe("grpo"), PROBLEM, THETA, 3).scale)
    assert examine(plain, p=0.5, name="ours", group_size=2).name == "ours"


def test_flow_takes_functions_too():
    path = flow(by_name, *success([0.5]), 2, rate=0.1, iterations=2)
    assert path.J[2] > path.J[1] > path.J[0]


@pytest.mark.parametrize(
    ("objective", "error", "message"),
    [
        (3.0, TypeError, "objective must be a Recipe or a function, got 3.0"),
        ("grpo", TypeError, "objective must be a Recipe or a function, got 'grpo'"),
        (lambda: 0.0, TypeError, "must take Groups, or arguments among log_prob"),
        (lambda **batch: 0.0, TypeError, "must take Groups, or arguments among log_prob"),
        (lambda logits, scores: 0.0, TypeError, "it takes logits, scores"),
        (lambda log_prob, advantages: 0.0, TypeError, "give defaults to advantages"),
        (lambda log_prob, /: log_prob.sum(), TypeError, "positional only"),
        (lambda log_prob: log_prob, ValueError, "must return a scalar tensor, got a tensor of shape"),
        (lambda log_prob: 1.0, ValueError, "must return a scalar tensor, got 1.0"),
        (lambda log_prob: log_prob.detach().sum(), ValueError, "must depend on log_prob"),
        (lambda rewards: rewards.sum(), ValueError, "must depend on log_prob"),
    ],
)
def test_functions_that_are_refused(objective, error, message):
    with pytest.raises(error, match=message):
        law(objective, *success([0.5]), 2)
    with pytest.raises(error, match=message):
        examine(objective, p=[0.5])
    with pytest.raises(error, match=message):
        effective_scale(objective, 2, [0.5])
