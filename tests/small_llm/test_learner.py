"""An update: equal to plain loops, blind to padding and to how a minibatch is split, with metrics by hand."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pgtheory.objectives import RECIPES, Clip, Decisions, GroupZScore, Recipe, recipe
from small_llm import Config, NotFinite
from small_llm.diagnostics import measure
from small_llm.experience import collect
from small_llm.learner import Learner
from small_llm.opening import prepared
from small_llm.tasks import Problem, task

torch.set_num_threads(1)
TINY = Config(task="add1", prompts=4, group_size=4)


def learner_of(config, **changes):
    """A learner, and answers to prompts of mixed lengths with mixed rewards."""
    config = config.replace(**changes)
    model, tokenizer = prepared(config, task("add1"))
    chosen = config.objective(5)
    reference = None
    if chosen.kl is not None:
        reference = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in reference.parameters():
                parameter.mul_(0.9)
    learner = Learner(model, chosen, config, reference)
    problems = [Problem(p, "7") for p in ("1+2=", "=", "11+3=", "9+9=")]
    experience = collect(
        model,
        tokenizer,
        problems,
        task("add1"),
        task("add1"),
        group_size=config.group_size,
        max_new_tokens=5,
        temperature=config.temperature,
        generator=torch.Generator().manual_seed(1),
    )
    rewards = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (4, config.group_size)) / 2).float()
    rewards[3] = 0.5  # a group with nothing to compare
    ends = torch.zeros_like(experience.rollouts.completion_mask)
    for row, length in enumerate([5, 1, 3, 2, 4, 5, 2, 1, 3, 3, 5, 1, 2, 4, 1, 5]):
        ends[row, :length] = True  # a model from scratch hardly ever ends an answer
    rollouts = replace(
        experience.rollouts,
        completion_mask=ends,
        log_prob=experience.rollouts.log_prob.masked_fill(~ends, 0.0).clone(),
    )
    return learner, replace(experience, rollouts=rollouts, rewards=rewards)


def gradient(learner, experience):
    decisions = learner.decisions(experience)
    loss = learner.backward(experience, decisions, torch.arange(len(experience.rewards)))
    found = torch.cat([p.grad.flatten() for p in learner.model.parameters()])
    learner.model.zero_grad(set_to_none=True)
    return loss, found


# -- equal to plain loops --------------------------------------------------------------------------------------


def plain_log_probs(model, rollouts, row, temperature):
    """One answer's log-probabilities from its own tokens alone: no padding, no batch, every logit."""
    prompt = rollouts.prompt_ids[row // rollouts.groups][rollouts.prompt_mask[row // rollouts.groups]]
    answer = rollouts.completion_ids[row][rollouts.completion_mask[row]]
    logits = model(torch.cat([prompt, answer])[None]).logits[0] / temperature
    table = logits.log_softmax(-1)
    return torch.stack([table[len(prompt) - 1 + t, token] for t, token in enumerate(answer.tolist())])


def plain_update(model, reference, experience, config, orders):
    """GRPO as verl runs it, with a k3 penalty, and AdamW, in plain loops."""
    rollouts, G = experience.rollouts, config.group_size
    old = [row[mask] for row, mask in zip(rollouts.log_prob, rollouts.completion_mask)]
    with torch.no_grad():
        ref = [plain_log_probs(reference, rollouts, i, config.temperature) for i in range(len(old))]
    rewards = experience.rewards.tolist()
    first = [torch.zeros_like(p) for p in model.parameters()]
    second = [torch.zeros_like(p) for p in model.parameters()]
    t = 0
    for order in orders:
        for prompts in order:
            total, tokens = 0.0, 0
            for p in prompts:
                mean = sum(rewards[p]) / G
                std = math.sqrt(sum((r - mean) ** 2 for r in rewards[p]) / (G - 1))
                for g in range(G):
                    i, advantage = p * G + g, (rewards[p][g] - mean) / (std + 1e-6)
                    new = plain_log_probs(model, rollouts, i, config.temperature)
                    for k in range(len(new)):
                        ratio = (new[k] - old[i][k]).exp()
                        loss = -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
                        if advantage < 0:
                            loss = torch.min(loss, torch.tensor(-3.0 * advantage))
                        x = ref[i][k] - new[k]
                        total = total + loss + config.kl * (x.exp() - 1 - x)
                        tokens += 1
            grads = torch.autograd.grad(total / tokens, list(model.parameters()))
            norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in grads))
            t += 1
            with torch.no_grad():
                for p, g, m, v in zip(model.parameters(), grads, first, second):
                    g = g * min(1.0, config.max_grad_norm / (norm + 1e-6))
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.999).add_(0.001 * g * g)
                    p.mul_(1 - config.learning_rate * config.weight_decay)
                    step = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
                    p.sub_(config.learning_rate * step)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_update_equals_plain_loops(accumulate):
    learner, experience = learner_of(
        TINY, temperature=0.7, kl=0.3, epochs=2, minibatches=2, accumulate=accumulate, weight_decay=0.1,
        learning_rate=3e-4, max_grad_norm=0.5,
    )  # fmt: skip
    slow = copy.deepcopy(learner.model)
    start = copy.deepcopy(learner.model)
    rng = np.random.default_rng(5)
    orders = [rng.permutation(4).reshape(2, 2).tolist() for _ in range(2)]
    plain_update(slow, learner.reference, experience, learner.config, orders)
    learner.update(experience, np.random.default_rng(5), 3e-4)
    largest = 0.0
    for (name, p), q, r in zip(learner.model.named_parameters(), slow.parameters(), start.parameters()):
        # Adam's first steps are signs: where a slope is nearly 0, rounding decides, up to one step
        off = ((p - q).abs() > 2e-5).float().mean()
        assert off < 0.01, name
        largest = max(largest, float((p - r).detach().abs().max()))
    assert largest > 1e-3


@pytest.mark.parametrize("name", list(RECIPES))
def test_neither_padding_nor_parts_change_the_gradient(name):
    learner, experience = learner_of(TINY, recipe=name)
    with torch.no_grad():
        for parameter in learner.model.parameters():  # away from the policy that sampled: ratios are not 1
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    loss, slope = gradient(learner, experience)
    assert slope.norm() > 1e-6
    rollouts = experience.rollouts
    wider = replace(
        rollouts,
        prompt_ids=torch.nn.functional.pad(rollouts.prompt_ids, (3, 0), value=5),
        prompt_mask=torch.nn.functional.pad(rollouts.prompt_mask, (3, 0), value=False),
        completion_ids=torch.nn.functional.pad(rollouts.completion_ids, (0, 2), value=5),
        completion_mask=torch.nn.functional.pad(rollouts.completion_mask, (0, 2), value=False),
        log_prob=torch.nn.functional.pad(rollouts.log_prob, (0, 2)),
    )
    padded = gradient(learner, replace(experience, rollouts=wider))
    parts = []
    for accumulate in (2, 4):
        learner.config = TINY.replace(recipe=name, accumulate=accumulate)
        parts.append(gradient(learner, experience))
    for other_loss, other in (padded, *parts):
        assert other_loss == pytest.approx(loss, rel=1e-5, abs=1e-6)
        torch.testing.assert_close(other, slope, rtol=1e-4, atol=1e-5 * float(slope.abs().max()))


def test_each_pass_sees_every_group_once_and_whole(monkeypatch):
    learner, experience = learner_of(TINY, epochs=3, minibatches=2)
    seen = []
    backward = learner.backward

    def noted(experience, decisions, prompts):
        seen.append(prompts.tolist())
        return backward(experience, decisions, prompts)

    monkeypatch.setattr(learner, "backward", noted)
    learner.update(experience, np.random.default_rng(0), 1e-3)
    passes = [seen[i] + seen[i + 1] for i in (0, 2, 4)]
    assert [len(prompts) for prompts in seen] == [2] * 6
    assert [sorted(prompts) for prompts in passes] == [[0, 1, 2, 3]] * 3
    assert len({tuple(prompts) for prompts in passes}) > 1


def test_credit_is_given_to_the_step_together():
    learner, experience = learner_of(TINY, recipe="grpo-batch", minibatches=4)
    advantage = learner.decisions(experience).advantage[..., 0]
    rewards = experience.rewards
    expected = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std() + 1e-4)
    torch.testing.assert_close(advantage, expected)


# -- what is left out ------------------------------------------------------------------------------------------


def test_dynamic_sampling_without_a_mixed_group_takes_no_step():
    learner, experience = learner_of(TINY, recipe="dapo")
    learner.update(experience, np.random.default_rng(0), 1e-2)  # Adam has a momentum now
    before = copy.deepcopy(learner.model)
    level = replace(experience, rewards=torch.ones_like(experience.rewards))
    row = learner.update(level, np.random.default_rng(0), 1e-2)
    assert all(torch.equal(p, q) for p, q in zip(learner.model.parameters(), before.parameters()))
    assert row["losses/gradient_norm"] == 0.0


def test_gradient_checkpointing_recomputes_and_changes_nothing():
    slopes, calls = [], []
    for flag in (False, True):
        learner, experience = learner_of(TINY, gradient_checkpointing=flag)
        mlp = learner.model.get_decoder().layers[0].mlp
        before = len(calls)
        mlp.register_forward_pre_hook(lambda *_: calls.append(1))
        slopes.append(gradient(learner, experience)[1])
        assert len(calls) - before == 1 + flag
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-6)


def test_a_gradient_that_is_none_stops_before_the_model_moves():
    learner, experience = learner_of(TINY)
    before = copy.deepcopy(learner.model)
    learner.objective = learner.objective.replace(surrogate=lambda decisions: decisions.log_prob * math.nan)
    with pytest.raises(NotFinite, match="the gradient's norm is nan"):
        learner.update(experience, np.random.default_rng(0), 1e-2)
    assert all(torch.equal(p, q) for p, q in zip(learner.model.parameters(), before.parameters()))


# -- metrics ---------------------------------------------------------------------------------------------------


def test_metrics_by_hand():
    old = torch.zeros(1, 2, 2)
    ratio = torch.tensor([[[1.5, 0.5], [1.5, 0.9]]])
    mask = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    advantage = torch.tensor([[[1.0, 1.0], [-1.0, -1.0]]])
    decisions = Decisions(ratio.log(), old, advantage, weight=mask, log_prob_ref=old)
    row = measure(Recipe(GroupZScore(), Clip(0.2)), decisions, ratio * mask, mask)
    assert row["ratio/max"] == pytest.approx(0.5)
    assert row["ratio/q50"] == pytest.approx(0.5)
    assert row["ratio/kl"] == pytest.approx(
        np.mean([0.5 - math.log(1.5), -0.5 - math.log(0.5), 0.5 - math.log(1.5)])
    )
    x = -np.log([1.5, 0.5, 1.5])
    assert row["policy/kl_reference"] == pytest.approx(np.mean(np.exp(x) - 1 - x))
    assert row["policy/entropy"] == pytest.approx(3.5 / 3)
    assert row["policy/clip_share"] == pytest.approx(1 / 3)  # 1.5 up; 0.5 may rise, 1.5 may fall
    assert "policy/clip_share" not in measure(recipe("gbpo"), decisions, ratio, mask)
