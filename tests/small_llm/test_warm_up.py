"""Warm-up: the right gradient, up to the accuracy asked for, kept for the next run, and honest when it fails."""

import copy
import importlib

import numpy as np
import pytest
import torch

from pgtheory.deep.checkpoint import DamagedCheckpointError
from small_llm import Config, WarmUp, evaluate, load, task
from small_llm.tasks import Problem
from small_llm.warm_up import WarmUpFailed, digest, imitate, warm_up

module = importlib.import_module("small_llm.warm_up")
torch.set_num_threads(1)
EASY = WarmUp(accuracy=0.3, batch=64, most_steps=400, check_every=20, problems=64)
CONFIG = Config(task="add1", warm_up=EASY)


def fresh(seed=0):
    return load("nano", task=task("add1"), seed=seed)


def warmed(config=CONFIG, seed=0):
    model, tokenizer = fresh(seed)
    accuracy = warm_up(model, tokenizer, task("add1"), config, progress=False)
    return model, tokenizer, accuracy


def same(one, other):
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters()))


def test_the_gradient_is_that_of_the_answers_tokens_and_their_end():
    model, tokenizer = fresh()
    slow = copy.deepcopy(model)
    problems = [Problem("1+2=", "3"), Problem("9+9=", "18"), Problem("=", "")]
    loss = imitate(model, tokenizer, problems)
    total, tokens = 0.0, 0
    for problem in problems:
        prompt = tokenizer(problem.prompt)["input_ids"]
        answer = [*tokenizer(problem.answer)["input_ids"], tokenizer.eos_token_id]
        table = slow(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        for t, token in enumerate(answer):
            total = total - table[len(prompt) + t - 1, token]
            tokens += 1
    assert tokens == 6
    (total / tokens).backward()
    assert loss == pytest.approx(float(total.detach()) / tokens, rel=1e-5)
    for p, q in zip(model.parameters(), slow.parameters()):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-6)


def test_it_ends_at_the_accuracy_asked_for():
    model, tokenizer, accuracy = warmed()
    assert 0.3 <= accuracy < 1
    held_out = evaluate(model, tokenizer, task("add1"), problems=64, seed=1)
    assert held_out.accuracy == accuracy
    assert evaluate(*fresh(), task("add1"), problems=64, seed=1).accuracy < 0.2
    assert all(p.grad is None for p in model.parameters())
    again, _, _ = warmed()
    assert same(again, model)


def test_a_kept_result_is_used_where_everything_agrees(tmp_path, monkeypatch):
    config = CONFIG.replace(cache=str(tmp_path))
    model, _, accuracy = warmed(config)
    assert len(list(tmp_path.iterdir())) == 1
    looked = []

    def refused(*_):
        looked.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "imitate", refused)
    kept, _, kept_accuracy = warmed(config.replace(steps=7, recipe="gbpo", learning_rate=0.5))
    assert same(kept, model)
    assert kept_accuracy == accuracy
    assert not looked
    others = [
        (config.replace(seed=1), 0),
        (
            config.replace(
                warm_up=WarmUp(accuracy=0.31, batch=64, most_steps=400, check_every=20, problems=64)
            ),
            0,
        ),
        (config, 1),  # other weights at the start
    ]
    for other, seed in others:
        with pytest.raises(KeyboardInterrupt):
            warmed(other, seed)
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    with pytest.raises(KeyboardInterrupt):
        warmed(config)
    assert len(looked) == 4
    assert len(list(tmp_path.iterdir())) == 1  # nothing unfinished was kept


def test_a_damaged_result_is_refused(tmp_path):
    config = CONFIG.replace(cache=str(tmp_path))
    warmed(config)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match="delete it"):
        warmed(config)


def test_too_few_steps_are_an_error(tmp_path):
    short = CONFIG.replace(warm_up=WarmUp(accuracy=1.0, most_steps=3, check_every=2), cache=str(tmp_path))
    with pytest.raises(WarmUpFailed, match=r"of add1 are right after 3 steps, not 100\.0%"):
        warmed(short)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="config must have a warm_up"):
        warmed(CONFIG.replace(warm_up=None))


def test_a_model_that_is_good_enough_is_left_alone():
    model, tokenizer, _ = warmed()
    before = copy.deepcopy(model)
    assert warm_up(model, tokenizer, task("add1"), CONFIG, progress=False) >= 0.3
    assert same(model, before)


def test_what_is_learned_from_is_never_held_out():
    rng = np.random.default_rng(0)
    sides = {split: {p.prompt for p in task("add1").problems(rng, 500, split)} for split in ("train", "test")}
    assert not sides["train"] & sides["test"]


def test_a_digest_changes_with_any_field():
    one = Config().to_dict()
    assert digest(one) == digest(dict(reversed(one.items())))
    assert len({digest(one), digest(one | {"seed": 1}), digest(one | {"kl": 0.0})}) == 3
