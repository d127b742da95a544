"""Training: resumable to the bit, honest about what goes wrong; and it learns."""

import dataclasses
import json
import math
import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from pgtheory.deep import checkpoint
from pgtheory.deep.checkpoint import CheckpointError
from pgtheory.objectives import RECIPES, Decoupled, GroupZScore, Recipe
from small_llm import Config, NotFinite, WarmUp, evaluate, loop, open_run, train
from small_llm.experience import collect
from small_llm.loop import Loop
from small_llm.opening import prepared
from small_llm.tasks import Problem, Task, task
from small_llm.wrappers import MajorityVote, NoisyLabels

torch.set_num_threads(1)
TINY = Config(
    task="add1",
    steps=4,
    prompts=4,
    group_size=4,
    learning_rate=1e-2,
    evaluation_problems=8,
    measure_every=1,
)


@dataclass(frozen=True)
class Sevens(Task):
    """Graded, so that a model from scratch has something to learn from: the share of sevens."""

    name: str = "sevens"
    alphabet: str = "0123456789+="
    max_new_tokens: int = 3

    def draw(self, rng, n):
        return [Problem(f"{'1' * int(k)}=", "777") for k in rng.integers(1, 30, n)]

    def verify(self, problem, completion):
        return completion.count("7") / 3

    def vote(self, problem, completion):
        return completion


@dataclass(frozen=True)
class Broken(Sevens):
    """Gives a reward that is none."""

    reward: float = math.nan

    def rewards(self, problem, completions):
        return np.array([self.reward] * len(completions))


def run(config=TINY, **options):
    return train(config, progress=False, **options)


def assert_same(one, other):
    """The same bits; only the clock may differ."""
    for (name, p), q in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(p, q), name
    metrics, expected = (r.metrics.drop_vars("charts/tokens_per_second") for r in (one, other))
    assert set(metrics) == set(expected)
    np.testing.assert_array_equal(metrics["step"], expected["step"])
    for name in metrics:
        np.testing.assert_array_equal(metrics[name].values, expected[name].values, err_msg=name)


def test_utilisation_where_the_device_is_known(monkeypatch):
    asked = {}

    def utilisation(model, prompts, answers, **settings):
        asked.update(settings, prompts=prompts, answers=answers)
        return 0.4

    monkeypatch.setattr(loop, "utilisation", utilisation)
    found = run(TINY.replace(steps=1, epochs=3))
    assert float(found.metrics["charts/mfu"][0]) == 0.4
    assert (len(asked["prompts"]), len(asked["answers"])) == (4, 16)
    assert set(asked["prompts"]) == {4}  # "1+2="
    assert np.mean(asked["answers"]) == pytest.approx(float(found.metrics["answer/length"][0]))
    assert asked["epochs"] == 3
    assert 0 < asked["seconds"] < 60
    monkeypatch.undo()
    assert "charts/mfu" not in run(TINY.replace(steps=1)).metrics


# -- the same bits ---------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Not an error that anything but the end of the process would handle."""


def killed_after(n):
    def callback(row):
        if row["step"] == n:
            raise Killed

    return callback


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "gbpo", "epochs": 2, "minibatches": 2},
        {"recipe": "grpo-paper", "schedule": "cosine", "weight_decay": 0.1},
        {"dtype": "bfloat16", "kl": 0.1},
    ],
)
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, changes):
    config = TINY.replace(steps=5, checkpoint_every=2, evaluate_every=2, **changes)
    whole = run(config.replace(folder=str(tmp_path / "whole")))
    resumed = config.replace(folder=str(tmp_path / "killed"))
    for n in (1, 4):
        with pytest.raises(Killed):
            run(resumed, callback=killed_after(n))
    assert_same(run(resumed), whole)
    rows = [
        json.loads(line)["step"] for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    ]
    assert rows == [1, 2, 3, 4, 5]
    again = run(resumed, callback=killed_after(5))  # all done: no step is taken
    assert_same(again, whole)
    assert again.evaluation.texts == whole.evaluation.texts
    config, model, _ = open_run(tmp_path / "killed")
    assert config == resumed
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), whole.model.parameters()))


def test_a_run_goes_on_for_longer_and_ends_early(tmp_path):
    config = TINY.replace(steps=2, folder=str(tmp_path))
    run(config)
    longer = run(config.replace(steps=4))
    np.testing.assert_array_equal(longer.metrics["step"], [1, 2, 3, 4])
    config = TINY.replace(steps=4, evaluate_every=2, evaluation_problems=64)
    whole = run(config, callback=lambda row: row["step"] == 3)
    held_out = evaluate(whole.model, whole.tokenizer, task("add1"), problems=64)
    assert whole.evaluation.texts == held_out.texts  # of the model that is returned, not of step 2's
    np.testing.assert_array_equal(whole.metrics["step"], [1, 2, 3])
    np.testing.assert_array_equal(longer.metrics["losses/total"][:3], whole.metrics["losses/total"])


def test_same_seed_same_bits_whatever_the_global_state():
    def states():
        return np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    one = run(TINY.replace(steps=2))
    assert states() == before
    random.seed(1)
    torch.manual_seed(99)
    assert_same(run(TINY.replace(steps=2)), one)
    other = run(TINY.replace(steps=2, seed=1))
    assert not torch.equal(next(iter(one.model.parameters())), next(iter(other.model.parameters())))


def test_every_step_has_problems_and_answers_of_its_own(monkeypatch):
    seen = []

    def noted(*arguments, **options):
        seen.append(collect(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr(loop, "collect", noted)
    run(TINY.replace(steps=3, learning_rate=1e-12), task=Sevens())
    assert len({tuple(p.prompt for p in experience.problems) for experience in seen}) == 3
    assert len({tuple(experience.rollouts.texts) for experience in seen}) == 3
    assert all(set(e.problems[0].prompt) <= set("1=") for e in seen)  # the task's that rewards


def test_another_runs_folder_is_refused(tmp_path):
    config = TINY.replace(steps=1, folder=str(tmp_path))
    run(config)
    with pytest.raises(CheckpointError, match=r"its temperature is 1.0, this one's 0.5"):
        run(config.replace(temperature=0.5))
    with pytest.raises(CheckpointError, match=r"its rewards is 'add1', this one's 'sevens'"):
        run(config, task=Sevens())


# -- it learns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grpo", "gbpo"])
def test_rewards_rise(name):
    config = TINY.replace(
        recipe=name, steps=40, prompts=8, group_size=8, epochs=2, learning_rate=3e-3, measure_every=0
    )
    reward = run(config, task=Sevens()).metrics["reward/mean"].values
    assert reward[:5].mean() < 0.3
    assert reward[-5:].mean() > 0.8


OWN = Recipe(GroupZScore(), Decoupled(0.2), name="decoupled")
EVERY = [*RECIPES, OWN]


@pytest.mark.parametrize("chosen", EVERY, ids=lambda r: r if isinstance(r, str) else r.name)
def test_every_recipe_runs(chosen):
    done = run(TINY.replace(recipe=chosen, steps=2, epochs=2, minibatches=2), task=Sevens())
    for name, values in done.metrics.items():
        assert np.isfinite(values[-1]), name
    assert (done.metrics["losses/gradient_norm"] > 0).all()
    assert (done.metrics["ratio/max"] > 0).all()


def test_ratios_are_measured_after_the_update():
    row = run(TINY.replace(steps=2, measure_every=2)).metrics
    assert (
        float(row["ratio/max"][0]) > 1e-4
    )  # one minibatch and one epoch: all ratios were 1 during the update
    assert np.isnan(row["ratio/max"][1])
    assert 0 < float(row["policy/entropy"][0]) <= math.log(14)


def test_wrong_labels_are_learned_from_but_not_reported():
    noisy = run(TINY.replace(steps=1), task=NoisyLabels(task("add1"), 1.0))
    assert float(noisy.metrics["reward/mean"][0]) == pytest.approx(
        1 - float(noisy.metrics["reward/accuracy"][0])
    )
    voted = run(TINY.replace(steps=1), task=MajorityVote(task("add1")))
    assert float(voted.metrics["reward/mean"][0]) > float(voted.metrics["reward/accuracy"][0])


# -- what goes wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_none_stops_the_run(tmp_path, reward):
    with pytest.raises(NotFinite, match=rf"a reward is {reward}, in step 1 of grpo; its data are in"):
        run(TINY.replace(folder=str(tmp_path)), task=Broken(reward=reward))
    (path,) = tmp_path.glob("stopped-*.safetensors")
    tensors, record = checkpoint.load(path)
    assert tensors["rewards"].shape == (4, 4)
    assert len(record["texts"]) == len(tensors["completion_ids"]) == 16
    assert len(record["prompts"]) == 4
    assert f"a reward is {reward}" in record["why"]
    assert checkpoint.latest(tmp_path) is None
    with pytest.raises(NotFinite, match="with a folder"):
        run(task=Broken(reward=reward))


def test_a_logit_that_is_none_stops_the_run(tmp_path):
    config = TINY.replace(folder=str(tmp_path))
    model, tokenizer = prepared(config, Sevens())
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(math.nan)
    with pytest.raises(NotFinite, match="a log-probability of the sampled answers is nan, in step 1 of grpo"):
        Loop(config, model, tokenizer, Sevens(), Sevens()).step()
    (path,) = tmp_path.glob("stopped-*.safetensors")
    assert len(checkpoint.load(path)[1]["prompts"]) == 4


def test_log_probabilities_from_sampling_are_checked(monkeypatch):
    def shifted(*arguments, **options):
        experience = collect(*arguments, **options)
        off = torch.roll(experience.rollouts.log_prob, 1, dims=1)
        return replace(experience, rollouts=replace(experience.rollouts, log_prob=off))

    monkeypatch.setattr(loop, "collect", shifted)
    with pytest.raises(RuntimeError, match="off those of a teacher-forced pass"):
        run()


def test_a_task_that_there_is_none_of():
    with pytest.raises(ValueError, match="got 'ad2'"):
        run(TINY.replace(task="ad2"))
    with pytest.raises(TypeError, match="config must be a Config"):
        train({"task": "add1"})
    with pytest.raises(TypeError, match="callback must be a function"):
        run(callback=3)
    with pytest.raises(ValueError, match="tensorboard=True needs a folder"):
        run(tensorboard=True)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        open_run("nowhere")


def test_the_front_door():
    import small_llm

    assert all(getattr(small_llm, name) is not None for name in small_llm.__all__)
    assert dataclasses.is_dataclass(WarmUp)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        small_llm.trian  # noqa: B018
