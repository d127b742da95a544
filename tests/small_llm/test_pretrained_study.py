"""The comparison on pretrained weights, on a model that is neither large nor trained."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from small_llm import pretrained_study
from small_llm.pretrained_study import SETTINGS, answered, pass_rates, run, untrained
from small_llm.tasks import Problem

torch.set_num_threads(1)
SMALL = {"model": "nano", "task": "add1", "lora": None, "max_new_tokens": None}


def test_a_run_and_its_checkpoints(tmp_path):
    found = run("gbpo", 1e-2, 2, 3, folder=str(tmp_path / "run"), **SMALL)
    assert found["ratio_max"].shape == (2,)
    assert found["ratio_max"].min() > 0
    assert {"right", "true", "false", "constant"} < set(found)
    again = run("gbpo", 1e-2, 2, 3, folder=str(tmp_path / "run"), **SMALL)  # reads what is there
    np.testing.assert_array_equal(again["ratio_max"], found["ratio_max"])
    assert list((tmp_path / "run").glob("*.safetensors"))


def test_both_methods_see_the_same_first_answers():
    one, other = (run(method, 1e-2, 1, 3, **SMALL) for method in ("grpo", "gbpo"))
    for name in ("accuracy", "length", "mixed"):
        np.testing.assert_array_equal(one[name], other[name])


def test_before_any_step(monkeypatch):
    """The same answers to the same problems as at the end of a run, here one that moves nothing."""
    monkeypatch.setattr(
        pretrained_study, "answered", lambda found: {"problems": found.problems, "texts": found.texts}
    )
    found = run("gbpo", 1e-30, 1, 0, **SMALL)
    before = untrained(**SMALL)
    assert len(before["texts"]) == pretrained_study.HELD_OUT
    assert before == {name: found[name] for name in before}


def test_answers_that_are_a_constant():
    problems = [Problem("", f"<answer>{x}</answer>", {}) for x in ("True", "False", "False", "False")]
    found = answered(
        SimpleNamespace(accuracy=0.5, texts=["True", " False\n", "False.", "maybe"], problems=problems)
    )
    assert found == {"right": 0.5, "true": 0.25, "false": 0.25, "constant": 0.75}


def test_pass_rates_by_hand(monkeypatch):
    """Three problems of two answers each: one group is mixed, three of six answers are right."""
    pytest.importorskip("reasoning_gym")
    monkeypatch.setattr(pretrained_study, "load", lambda name: (None, None))
    texts = ["right", "wrong", "partly", "wrong", "right", "right"]
    mask = torch.tensor(
        [[True, True], [True, False], [True, False], [True, True], [True, True], [True, False]]
    )
    cut = torch.tensor([True, False, False, False, True, True])
    answers = SimpleNamespace(texts=texts, completion_mask=mask, truncated=cut)
    monkeypatch.setattr(pretrained_study, "sample", lambda *arguments, **options: answers)
    worth = {"right": 1.0, "wrong": 0.0, "partly": 0.5}
    asked = SimpleNamespace(
        problems=lambda rng, n, split: [Problem("", "", {})] * n,
        rewards=lambda problem, row: np.array([worth[text] for text in row]),
    )
    monkeypatch.setattr(pretrained_study, "task", lambda name: asked)
    found = pass_rates("ransom_note", seed=0, problems=3, groups=2)
    expected = {"right": 3 / 6, "reward": 3.5 / 6, "mixed": 1 / 3, "length": 9 / 6, "cut": 3 / 6}
    assert found == pytest.approx(expected)


def test_settings_hold_no_secret_choice():
    """What differs between runs is the recipe, the rate and the seed."""
    assert not {"recipe", "learning_rate", "seed", "steps"} & set(SETTINGS)
