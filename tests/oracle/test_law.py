"""The law by counts of classes against all ordered groups."""

import numpy as np
import pytest
import torch
from brute_force import update_law

from pgtheory.objectives import RECIPES, GroupMean, KLPenalty, Recipe, recipe, sequence_sum
from pgtheory.oracle import bandit, contextual_bandit, effective_scale, law, success, token_tree


def tree():
    """Answers 1, 01, 001, 000 (the last without an end): two rewards for three lengths."""
    return token_tree(2, 3, lambda answer: float(answer[:2] == (0, 0)), eos=1)


def fan():
    """Nine answers of two tokens with three rewards: many members in a class."""
    return token_tree(3, 2, lambda answer: float(answer[0] == answer[1]) - float(answer[0] == 2))


PROBLEMS = {
    "bandit": (lambda: bandit([1.0, 0.0, 0.0]), 3),
    "tree": (tree, 3),
    "fan": (fan, 2),
    "contexts": (lambda: contextual_bandit([[1.0, 0.0, 0.0], [0.0, 2.0, 2.0]]), 2),
}


def near(seed, dim, size=0.7):
    return torch.as_tensor(np.random.default_rng(seed).normal(0, size, dim))


def assert_same(found, update, trace):
    scale = 1 + float(update.norm())
    assert torch.allclose(found.update, update, rtol=0, atol=1e-9 * scale)
    assert found.covariance_trace == pytest.approx(trace, rel=1e-8, abs=1e-9)
    assert found.exact
    assert found.standard_error == 0


@pytest.mark.parametrize("where", PROBLEMS)
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_on_policy(name, where):
    make, G = PROBLEMS[where]
    problem = make()
    theta = near(0, problem.dim)
    assert_same(law(recipe(name), problem, theta, G), *update_law(recipe(name), problem, theta, G))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_off_policy(name):
    problem = tree()
    theta, old, ref = (near(seed, problem.dim, 0.4) for seed in (1, 2, 3))
    places = {"theta_old": old, "theta_ref": ref}
    assert_same(
        law(recipe(name), problem, theta, 3, **places), *update_law(recipe(name), problem, theta, 3, **places)
    )


@pytest.mark.parametrize("name", ["rloo", "grpo", "reinforce++", "grpo-batch", "real-bce", "dapo", "dr-grpo"])
def test_all_prompts_in_one_batch(name):
    problem = contextual_bandit([[1.0, 0.0], [2.0, -1.0]])
    theta, old = near(4, 4), near(5, 4)
    for more in ({}, {"theta_old": old}):
        found = law(recipe(name), problem, theta, 2, together=True, **more)
        assert_same(found, *update_law(recipe(name), problem, theta, 2, together=True, **more))


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("in_reward", [False, True])
def test_kl_in_loss_and_in_reward(estimator, in_reward):
    penalised = recipe("rloo").replace(kl=KLPenalty(estimator, 0.3, in_reward=in_reward))
    for problem, seed in ((tree(), 6), (fan(), 7)):
        places = {"theta_old": near(seed, problem.dim), "theta_ref": near(seed + 10, problem.dim)}
        theta = near(seed + 20, problem.dim)
        assert_same(
            law(penalised, problem, theta, 2, **places), *update_law(penalised, problem, theta, 2, **places)
        )


def test_the_kl_losses_have_the_gradients_of_their_table():
    """On policy and in expectation: none for k1, of KL(new ‖ ref) for k2, of KL(ref ‖ new) for k3."""
    problem, theta = bandit([0.0, 0.0, 0.0]), torch.log(torch.tensor([0.5, 0.3, 0.2]).double())
    ref = torch.log(torch.tensor([0.4, 0.4, 0.2]).double())
    for estimator, gradient in (
        ("k1", [0.0, 0.0, 0.0]),
        ("k2", [0.098938, -0.093885, -0.005053]),
        ("k3", [0.1, -0.1, 0.0]),
    ):
        penalised = recipe("reinforce").replace(kl=KLPenalty(estimator, 1.0))
        found = law(penalised, problem, theta, 2, theta_old=theta, theta_ref=ref)
        assert np.allclose(-found.update, gradient, atol=1e-6)


def test_rloo_is_unbiased_and_dr_grpo_falls_short_by_one_answer():
    for make, _ in PROBLEMS.values():
        problem = make()
        theta = near(8, problem.dim)
        unbiased = law(recipe("rloo"), problem, theta, 4, max_terms=10**6)
        assert unbiased.bias < 1e-12
        assert unbiased.scale == pytest.approx(1, abs=1e-12)
        centred = Recipe(GroupMean(), recipe("rloo").surrogate, sequence_sum)
        assert law(centred, problem, theta, 4, max_terms=10**6).scale == pytest.approx(3 / 4, abs=1e-12)


def test_a_law_in_numbers():
    """One answer, REINFORCE: the update is r ∇log π, so the law is a sum over two answers."""
    problem, theta = success([0.2])
    found = law(recipe("reinforce"), problem, theta, 1)
    gradient = torch.tensor([0.16, -0.16]).double()  # p (1 - p) for the logits
    assert torch.allclose(found.gradient, gradient)
    assert torch.allclose(found.update, gradient)
    assert float(found.J) == pytest.approx(0.2)
    assert found.covariance_trace == pytest.approx(0.2 * 2 * 0.8**2 - 2 * 0.16**2)
    assert found.signal_to_noise == pytest.approx(2 * 0.16**2 / found.covariance_trace)
    assert (found.cosine, found.rises) == (pytest.approx(1), True)
    assert found.direction_bias == pytest.approx(0, abs=1e-12)


def test_dynamic_sampling_weighs_prompts_by_how_often_they_are_kept():
    problem, theta = success([0.02, 0.5])
    kept = [1 - p**4 - (1 - p) ** 4 for p in (0.02, 0.5)]
    mixed = recipe("rloo").replace(mixed_only=True)
    found = law(mixed, problem, theta, 4)
    # groups of equal rewards add nothing to RLOO, so conditioning divides by the chance to be kept
    assert torch.allclose(found.update, law(recipe("rloo"), problem, theta, 4).update / np.mean(kept))


class TestSampling:
    problem, theta = token_tree(4, 3, lambda answer: float(sum(answer) % 3 == 0)), near(9, 84)

    def sampled(self, name, seed, **options):
        options = {"max_terms": 0, "samples": 4000, "rng": np.random.default_rng(seed)} | options
        return law(recipe(name), self.problem, self.theta, 4, **options)

    @pytest.mark.parametrize("name", ["rloo", "grpo", "dapo"])
    def test_the_estimate_lies_within_its_error(self, name):
        """For dynamic sampling too, where the error must be that of what was kept."""
        truth = law(recipe(name), self.problem, self.theta, 4)
        errors = []
        for seed in range(12):
            found = self.sampled(name, seed)
            assert (found.exact, found.covariance_trace, found.terms) == (False, None, 4000)
            errors.append(float((found.update - truth.update).norm()) / found.standard_error)
        assert 0.6 < np.sqrt(np.mean(np.square(errors))) < 1.5

    def test_rare_keeps_do_not_look_precise(self):
        problem, theta = success([0.1])
        truth = law(recipe("dapo"), problem, theta, 4).update
        errors = []
        for seed in range(12):
            rng = np.random.default_rng(seed)
            found = law(recipe("dapo"), problem, theta, 4, max_terms=0, samples=4000, rng=rng)
            errors.append(float((found.update - truth).norm()) / found.standard_error)
        assert 0.6 < np.sqrt(np.mean(np.square(errors))) < 1.5

    def test_the_same_generator_gives_the_same_bits(self):
        assert torch.equal(self.sampled("grpo", 3).update, self.sampled("grpo", 3).update)
        assert not torch.equal(self.sampled("grpo", 3).update, self.sampled("grpo", 4).update)


def test_tiny_rewards_stay_apart():
    """A z-score does not care for the rewards' unit, so neither may the classes."""
    plain, small = bandit([0.0, 1.0, 2.0]), bandit([0.0, 1e-13, 2e-13])
    scaled = recipe("grpo-paper").replace(kl=None, credit=recipe("grpo-paper").credit.__class__(0, 1e-30))
    theta = near(10, 3)
    assert torch.allclose(law(scaled, plain, theta, 3).update, law(scaled, small, theta, 3).update)


def test_answers_without_probability_are_never_drawn():
    problem = bandit([1.0, 0.0, 5.0])
    found = law(recipe("rloo"), problem, [0.0, 0.0, -2000.0], 3)
    assert torch.allclose(found.update, torch.tensor([0.25, -0.25, 0.0]).double())


@pytest.mark.parametrize("name", [n for n in RECIPES if n not in ("reinforce++", "reinforce++-baseline")])
def test_effective_scale_is_the_laws(name):
    p = [0.03, 0.4, 0.8]
    expected = [law(recipe(name), *success([one]), 5).scale for one in p]
    assert np.allclose(effective_scale(recipe(name), 5, p), expected, rtol=1e-9, atol=1e-12)
