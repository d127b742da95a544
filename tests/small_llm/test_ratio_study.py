"""The comparison of GRPO and GBPO: recipes that differ in what they should, and records of a run."""

import dataclasses

import numpy as np
import pytest
import torch

from pgtheory.objectives import RECIPES, Groups
from small_llm import Config, ratio_study, train
from small_llm.ratio_study import METHODS, matched, record

torch.set_num_threads(1)
TINY = Config(task="add1", steps=3, prompts=4, group_size=4, learning_rate=1e-2, evaluation_problems=8)


@pytest.mark.parametrize("method", METHODS)
def test_at_the_published_clip_a_matched_recipe_is_the_named_one(method):
    assert dataclasses.replace(matched(method, 0.2), name="") == dataclasses.replace(RECIPES[method], name="")


@pytest.mark.parametrize("epsilon", [0.1, 0.4])
def test_the_box_is_the_one_asked_for(epsilon):
    """Slopes vanish, or turn back, as soon as ratios of right answers leave it, and not before."""
    rewards = torch.tensor([[1.0, 0.0]])
    mask = torch.ones(1, 2, 1, dtype=torch.float64)
    for method in METHODS:
        for factor, pushed in ((0.99, True), (1.01, False)):
            now = torch.zeros(1, 2, 1, dtype=torch.float64)
            now[0, 0] = np.log1p(factor * epsilon)
            now.requires_grad_()
            loss = matched(method, epsilon).group_loss(Groups(now, 0 * mask, rewards.double(), mask))
            (slope,) = torch.autograd.grad(loss, now)
            assert (slope[0, 0, 0] < 0) == pushed, (method, factor)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method must be one of grpo, gbpo, gbpo-median, got 'ppo'"):
        matched("ppo", 0.2)


def test_a_record_is_the_run_it_says():
    config = TINY.replace(recipe=matched("gbpo", 0.2), epochs=2)
    found = record(config, problems=16)
    run = train(config, progress=False)
    for name in ("q50", "q99", "max"):
        np.testing.assert_array_equal(found[f"ratio_{name}"], run.metrics[f"ratio/{name}"].values)
    np.testing.assert_array_equal(found["accuracy"], run.metrics["reward/accuracy"].values)
    assert set(found) == {"before", "after", "accuracy", "mixed", "length", "kl"} | {
        f"ratio_{name}" for name in ("q50", "q99", "max")
    }
    assert (found["ratio_q99"] <= found["ratio_max"]).all()
    assert found["ratio_max"].min() > 0


def test_noise_changes_rewards_and_not_verdicts(monkeypatch):
    """The accuracies before are those of the same model; what it learns from differs."""
    tasks = []

    def watched(config, *, task, **options):
        tasks.append(task)
        return train(config, task=task, **options)

    monkeypatch.setattr(ratio_study, "train", watched)
    for noise in (0.0, 0.5):
        record(TINY.replace(steps=1), noise=noise, problems=16)
    assert tasks[0] is None
    assert tasks[1].p == 0.5
    assert tasks[1].seed == TINY.seed


def test_before_and_after_are_held_out_and_sampled(monkeypatch):
    asked = []
    true = ratio_study.evaluate

    def watched(model, tokenizer, task, **options):
        asked.append(options)
        return true(model, tokenizer, task, **options)

    monkeypatch.setattr(ratio_study, "evaluate", watched)
    record(TINY.replace(steps=1, temperature=0.7), problems=16)
    assert [(one["temperature"], one["problems"]) for one in asked] == [(0.7, 16)] * 2
