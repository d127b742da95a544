"""The record of a run: refused at the door where it cannot be, and the same after a trip through JSON."""

import json

import pytest

from pgtheory.objectives import GroupZScore, ImportanceWeighted, KLPenalty, Recipe, SequenceSum, recipe
from small_llm import Config, WarmUp

OWN = Recipe(GroupZScore(), ImportanceWeighted(), SequenceSum(64), KLPenalty("k2", 0.1), name="own")


@pytest.mark.parametrize(
    ("field", "value", "error", "says"),
    [
        ("model", 3, TypeError, "model must be a string, got 3"),
        ("task", "", ValueError, "task must not be empty"),
        ("recipe", "gprpo", ValueError, "grpo.*got 'gprpo'"),
        ("recipe", 3, TypeError, "recipe must be a Recipe, got 3"),
        ("steps", 0, ValueError, "steps must be at least 1"),
        ("steps", 2.0, TypeError, "steps must be an integer"),
        ("group_size", True, TypeError, "group_size must be an integer"),
        ("minibatches", 3, ValueError, r"must divide prompts = 16.*got 3 \* 1"),
        ("accumulate", 32, ValueError, r"must divide prompts = 16.*got 1 \* 32"),
        ("learning_rate", float("nan"), ValueError, "learning_rate must be positive"),
        ("temperature", 0.0, ValueError, "temperature must be positive"),
        ("kl", -0.1, ValueError, "kl must be non-negative"),
        (
            "schedule",
            "cosinus",
            ValueError,
            "schedule must be one of constant, linear, cosine, got 'cosinus'",
        ),
        ("dtype", "float16", ValueError, "dtype must be one of float32, bfloat16"),
        ("seed", -1, ValueError, "seed must be at least 0"),
        ("warm_up", 0.5, TypeError, "warm_up must be a WarmUp, got 0.5"),
        ("gradient_checkpointing", "no", TypeError, "gradient_checkpointing must be True or False"),
        ("max_new_tokens", 0, ValueError, "max_new_tokens must be at least 1"),
        ("folder", "", ValueError, "folder must not be empty"),
        ("weight_decay", -1.0, ValueError, "weight_decay must be non-negative"),
    ],
)
def test_what_cannot_be_is_refused(field, value, error, says):
    with pytest.raises(error, match=says):
        Config(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("accuracy", 0.0), ("accuracy", 1.5), ("batch", 0), ("learning_rate", -1.0)]
)
def test_a_warm_up_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        WarmUp(**{field: value})


@pytest.mark.parametrize("chosen", ["gbpo", recipe("dapo"), OWN])
def test_json_and_back(chosen):
    config = Config(recipe=chosen, warm_up=WarmUp(accuracy=0.3), kl=0.01, steps=7, folder="runs/x")
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"learning_rte": 1.0}, "record has no field learning_rte"),
        ({"warm_up": {"acuracy": 1.0}}, "warm_up has no field acuracy"),
        ([], "record must be a mapping"),
        ({"recipe": {"credit": {"part": "os"}, "surrogate": {"part": "Clip"}}}, "part must be a name"),
    ],
)
def test_a_record_of_something_else_is_refused(record, says):
    with pytest.raises(ValueError, match=says):
        Config.from_dict(record)


def test_a_recipe_of_foreign_parts_runs_but_cannot_be_written():
    config = Config(recipe=OWN.replace(surrogate=lambda decisions: -decisions.ratio))
    with pytest.raises(TypeError, match=r"only parts of pgtheory\.objectives"):
        config.to_dict()


def test_the_objective_of_a_run():
    assert Config(recipe="grpo").objective(9) == recipe("grpo")
    assert Config(recipe="dr-grpo").objective(9).aggregate == SequenceSum(9)
    assert Config(recipe=recipe("dr-grpo")).objective(9).aggregate == SequenceSum(1024)
    assert Config(recipe="grpo", kl=0.2).objective(9).kl == KLPenalty("k3", 0.2)
    assert Config(recipe=OWN, kl=0.2).objective(9).kl == KLPenalty("k2", 0.2)
    assert Config(recipe="grpo-paper", kl=0.0).objective(9).kl is None


def test_what_a_run_that_goes_on_may_change():
    config = Config(folder="a", steps=10)
    assert config.identity() == config.replace(folder="b", steps=20, evaluate_every=3).identity()
    assert config.identity() != config.replace(temperature=0.9).identity()
    linear = config.replace(schedule="linear")
    assert linear.identity() != linear.replace(steps=20).identity()
