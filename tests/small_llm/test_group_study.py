"""The comparison of objectives: recipes share what they should, and its numbers are what they are called."""

import numpy as np
import pytest

from small_llm import study
from small_llm.evaluation import evaluate
from small_llm.models import load
from small_llm.tasks import task
from small_llm.warm_up_settings import WarmUp
from small_llm.wrappers import NoisyLabels

SMALL = {"steps": 2, "prompts": 4, "warm_up": WarmUp(accuracy=0.2, check_every=10, problems=64)}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    cache = tmp_path_factory.mktemp("warm")

    def config(recipe, rate=1e-3, seed=1):
        return study.matched("sort2", recipe, rate, seed, cache=cache, **SMALL)

    return config


@pytest.fixture(scope="module")
def outcomes(small):
    return {name: study.outcome(small(name), problems=64) for name in ("grpo", "rloo")}


def test_recipes_share_start_prompts_and_random_numbers_and_then_part(small, outcomes):
    assert study.start(small("grpo"), problems=64) == study.start(small("rloo"), problems=64)
    first, second = (found["curve_accuracy"] for found in outcomes.values())
    assert first.shape == second.shape == (2,)
    assert first[0] == second[0]
    assert outcomes["grpo"]["accuracy"] > 0.05
    assert outcomes["grpo"] != outcomes["rloo"]


def test_another_seed_is_another_run(small, outcomes):
    other = study.outcome(small("grpo", seed=2), problems=64)
    assert not np.array_equal(other["curve_length"], outcomes["grpo"]["curve_length"])


def test_all_that_is_not_the_recipes_is_shared():
    one, other = (study.matched("sort5", name, 1e-4, 3).to_dict() for name in ("grpo", "gbpo"))
    assert {name for name in one if one[name] != other[name]} == {"recipe"}
    assert one["steps"] * one["prompts"] * one["group_size"] == 1536


def test_lengths_of_right_and_wrong_answers_make_up_that_of_all(small, outcomes):
    for found in (*outcomes.values(), study.start(small("grpo"), problems=64)):
        share = found["accuracy"]
        assert 0 < share < 1
        together = share * found["length_right"] + (1 - share) * found["length_wrong"]
        assert together == pytest.approx(found["length"])
        assert found["length_right"] == 3  # two digits and the end


def test_lengths_are_of_tokens_also_of_those_that_have_no_text():
    model, tokenizer = load("nano", task="sort5")
    config = study.matched("sort5", "grpo", 1e-4, 0, warm_up=None)
    found = evaluate(model, tokenizer, task("sort5"), problems=64, temperature=1.0)
    assert 0 < found.truncated < 1
    assert (found.lengths[found.cut] == 6).all()
    assert (found.lengths - ~found.cut >= [len(text) for text in found.texts]).all()
    start = study.start(config, problems=64)
    assert np.isnan(start["length_right"])  # an untrained model is never right
    assert start["length_wrong"] == start["length"] == found.length


def test_the_final_accuracy_is_that_of_the_true_verifier(small):
    never = study.outcome(small("grpo", rate=1e-9), task=NoisyLabels(task("sort2"), 1.0), problems=64)
    assert never["accuracy"] == study.start(small("grpo"), problems=64)["accuracy"]
