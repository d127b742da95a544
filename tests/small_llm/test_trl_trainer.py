"""Recipes inside TRL's trainer: the loss and gradient of our learner on the same answers, in one part and in several.

Measured with trl 1.16.0, transformers 5.23.0 and torch 2.13.0 on a CPU.
"""

import copy
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from in_processes import start

from pgtheory.objectives import RECIPES, Clip, Decoupled, KLPenalty, recipe
from small_llm import Config, load
from small_llm.experience import Experience
from small_llm.learner import Learner
from small_llm.rollout import Rollouts

pytest.importorskip("trl")
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # trl's, about transformers
]
torch.set_num_threads(1)
ANSWERS, G, LONGEST = 16, 4, 5
COUPLED = ("real", "real-bce")


def graded(completions, **_):
    """The share of sevens, of five characters."""
    return [text.count("7") / LONGEST for text in completions]


def has_penalty(name):
    return name in RECIPES and RECIPES[name].kl is not None


def trainer_of(chosen, folder, *, reward=graded, **settings):
    from datasets import Dataset
    from trl import GRPOConfig

    from small_llm.trl_trainer import RecipeTrainer

    made, tokenizer = load("nano", task="add1")
    if has_penalty(chosen):  # TRL reads the reference where the model is from
        made.save_pretrained(folder / "model")
        made = str(folder / "model")
    texts = [f"{'1' * (i % 9 + 1)}+{i}=" for i in range(32)]
    given = {
        "per_device_train_batch_size": ANSWERS, "num_generations": G, "max_completion_length": LONGEST,
        "num_iterations": 2, "use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no",
        "logging_steps": 1, "max_steps": 2, "learning_rate": 1e-3, "disable_tqdm": True, "temperature": 0.8,
    }  # fmt: skip
    return RecipeTrainer(
        made,
        reward,
        GRPOConfig(str(folder), **given | settings),
        recipe=chosen,
        train_dataset=Dataset.from_list([{"prompt": text} for text in texts]),
        processing_class=tokenizer,
    )


def sampled(trainer):
    """The parts of one generation, the model moved on since, and then the gradient of an optimiser's step."""
    trainer.model.train()
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    batch = next(iter(trainer.get_train_dataloader()))
    trainer._prepare_inputs(batch)
    with torch.no_grad():
        for p in trainer.model.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    return trainer._buffered_inputs


def as_experience(parts):
    """TRL's rows in the order in which they were sampled, as one of our steps."""
    columns = {key: [part[key] for part in parts] for key in parts[0] if parts[0][key] is not None}
    rows = {key: torch.cat(values) for key, values in columns.items() if values[0].ndim}
    order = rows["row"].argsort()
    rows = {key: values[order] for key, values in rows.items()}
    tokenizer = load("nano", task="add1")[1]
    texts = tokenizer.batch_decode(
        [row[mask.bool()] for row, mask in zip(rows["completion_ids"], rows["completion_mask"])],
        skip_special_tokens=True,
    )
    mask = rows["completion_mask"].bool()
    rollouts = Rollouts(
        rows["prompt_ids"][::G],
        rows["prompt_mask"][::G].bool(),
        rows["completion_ids"],
        mask,
        rows["old_per_token_logps"].masked_fill(~mask, 0.0),
        torch.zeros(len(mask), dtype=torch.bool),
        texts,
    )
    rewards = torch.tensor(graded(texts)).unflatten(0, (-1, G))
    assert rewards.std() > 0
    return Experience([None] * len(rewards), rollouts, rewards, 0.0)


def ours(model, reference, experience, chosen):
    config = Config(task="add1", prompts=ANSWERS // G, group_size=G, temperature=0.8, recipe=chosen)
    learner = Learner(model, config.objective(LONGEST), config, reference)
    decisions = learner.decisions(experience)
    loss = learner.backward(experience, decisions, torch.arange(len(experience.rewards)))
    return loss, slopes(model)


def slopes(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def theirs(trainer, parts):
    loss = 0.0
    for part in parts:
        of_part = trainer.compute_loss(trainer.model, part)
        of_part.backward()
        loss += float(of_part.detach())
    return loss, slopes(trainer.model)


def compare(chosen, tmp_path, **settings):
    trainer = trainer_of(chosen, tmp_path, **settings)
    reference = None
    if trainer.recipe.kl is not None:
        reference = copy.deepcopy(trainer.ref_model)
    parts = sampled(trainer)
    model = copy.deepcopy(load("nano", task="add1")[0])
    model.load_state_dict(trainer.model.state_dict())
    loss, slope = ours(model, reference, as_experience(parts), chosen)
    other_loss, other = theirs(trainer, parts)
    assert slope.norm() > 1e-4
    assert other_loss == pytest.approx(loss, rel=1e-4, abs=1e-5)
    torch.testing.assert_close(other, slope, rtol=1e-3, atol=1e-5 * float(slope.abs().max()))
    return trainer


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_our_loss_and_gradient(tmp_path, name):
    trainer = compare(name, tmp_path)
    row = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    assert row["ratio/max"] > 1e-3
    assert np.isfinite(row["policy/entropy"])


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in COUPLED])
def test_accumulated_parts_add_up_to_the_whole(tmp_path, name):
    compare(name, tmp_path, per_device_train_batch_size=4, gradient_accumulation_steps=4, num_iterations=2)


def test_an_optimisers_step_is_a_part_of_a_generation(tmp_path):
    trainer = trainer_of("grpo", tmp_path, per_device_train_batch_size=4, steps_per_generation=4)
    parts = sampled(trainer)
    for part in parts:  # of as many tokens as it has, not of the generation's
        assert float(part["counted"].sum()) == pytest.approx(1.0)
        found = trainer._compute_loss(trainer.model, part)
        mask = part["completion_mask"]
        assert float(part["counted"].max()) == pytest.approx(1 / float(mask.sum()))
        assert torch.isfinite(found)


def test_dropped_groups_count_nowhere(tmp_path):
    def first_group_alone(completions, **_):
        return [float(i < 2) for i, _ in enumerate(completions)]

    for settings in ({}, {"per_device_train_batch_size": 4, "steps_per_generation": 4}):
        trainer = trainer_of(
            "dapo", tmp_path, reward=first_group_alone, gradient_accumulation_steps=1, **settings
        )
        parts = sampled(trainer)
        kept = torch.cat([part["row"][part["kept"] > 0] for part in parts])
        assert sorted(kept.tolist()) == [0, 1, 2, 3]
        for part in parts:
            if "counted" in part and (part["kept"] > 0).any():
                assert float(part["counted"].sum()) == pytest.approx(1.0)
                assert not part["counted"][part["kept"] == 0].any()


def test_it_learns(tmp_path):
    trainer = trainer_of("gbpo", tmp_path, max_steps=40, learning_rate=5e-3, lr_scheduler_type="constant")
    before = [p.detach().clone() for p in trainer.model.parameters()]
    trainer.train()
    reward = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    assert np.mean(reward[:4]) < 0.3
    assert np.mean(reward[-4:]) > 0.7
    assert any(not torch.equal(p, q) for p, q in zip(trainer.model.parameters(), before))


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "settings", "says"),
    [
        ("grpo", {"epsilon": 0.3}, r"args must leave epsilon at 0\.2, got 0\.3: the recipe decides it"),
        ("grpo", {"beta": 0.1}, r"args must leave beta at 0\.0, got 0\.1"),
        ("grpo", {"loss_type": "grpo"}, "args must leave loss_type at 'dapo', got 'grpo'"),
        ("grpo", {"scale_rewards": "none"}, "args must leave scale_rewards at 'group'"),
        (
            "grpo",
            {"per_device_train_batch_size": 4, "steps_per_generation": 2, "gradient_accumulation_steps": 4},
            "divide steps_per_generation.*got 4 and 2",
        ),
        (
            "real",
            {"per_device_train_batch_size": 4, "steps_per_generation": 4},
            r"recipe 'real' couples answers.*steps_per_generation=1, got 1 and 4",
        ),
        (recipe("grpo").replace(kl=KLPenalty("k1", 0.1, in_reward=True)), {}, "penalty in the loss"),
        (recipe("grpo").replace(kl=KLPenalty("k3", 0.0)), {}, "kl=None rather than a coefficient of 0"),
        (recipe("grpo").replace(surrogate=Decoupled(0.2)), {}, "must not be Decoupled"),
        ("gprpo", {}, "name must be one of"),
    ],
)
def test_what_is_refused(tmp_path, chosen, settings, says):
    with pytest.raises(ValueError, match=says):
        trainer_of(chosen, tmp_path, **settings)


def test_vllms_correction_is_refused(tmp_path):
    from trl import GRPOConfig

    from small_llm.trl_trainer import RecipeTrainer

    args = GRPOConfig(str(tmp_path), use_vllm=True, use_cpu=True, bf16=False)
    with pytest.raises(ValueError, match="vllm_importance_sampling_correction=False"):
        RecipeTrainer("none", graded, args)
    with pytest.raises(TypeError, match="args must be a GRPOConfig"):
        RecipeTrainer("none", graded, None)


def test_an_answer_without_a_reward(tmp_path):
    trainer = trainer_of("grpo", tmp_path, reward=lambda completions, **_: [None] * len(completions))
    with pytest.raises(ValueError, match="reward_funcs must give every answer a finite reward"):
        sampled(trainer)


def test_releases_that_nobody_has_tested_are_refused(monkeypatch):
    from pgtheory.oracle.adapters import releases

    monkeypatch.delitem(sys.modules, "small_llm.trl_trainer", raising=False)
    monkeypatch.setattr(releases, "version", lambda package: "2.0.1")
    with pytest.raises(ImportError, match=r"trl must be of release 1\.16.*found 2\.0\.1"):
        import small_llm.trl_trainer  # noqa: F401


def test_a_surrogate_of_ones_own_sees_whole_batches(tmp_path):
    clip = Clip(0.2)
    own = recipe("grpo").replace(surrogate=lambda decisions: clip(decisions), name="own")
    trainer = trainer_of(own, tmp_path)
    assert torch.isfinite(trainer._compute_loss(trainer.model, sampled(trainer)[0]))
    with pytest.raises(ValueError, match="recipe 'own' couples answers, or may"):
        trainer_of(own, tmp_path, per_device_train_batch_size=4, steps_per_generation=4)


# -- two processes ---------------------------------------------------------------------------------------------


def gradient_of_two(folder):
    """In each of two processes: the answers it sampled, and what its gradient would bring to the mean."""
    trainer = trainer_of("reinforce++", Path(folder), per_device_train_batch_size=ANSWERS // 2)
    parts = sampled(trainer)
    loss, slope = theirs(trainer, parts)
    count = trainer.accelerator.num_processes
    torch.save(
        {"parts": parts, "loss": loss, "slope": slope, "count": count}, f"{folder}/{os.environ['RANK']}.pt"
    )


def test_two_processes_have_the_gradient_of_one(tmp_path):
    for code, error in start(
        [sys.executable, __file__, str(tmp_path)], 2, seconds=200, ACCELERATE_USE_CPU="true"
    ):
        assert code == 0, error[-3000:]
    found = [torch.load(tmp_path / f"{i}.pt", weights_only=False) for i in range(2)]
    assert found[0]["count"] == 2
    trainer = trainer_of("reinforce++", tmp_path)
    model = trainer.model
    sampled(trainer)  # moves the model as it was moved there
    longest = max(part["completion_ids"].shape[1] for half in found for part in half["parts"])
    width = max(part["prompt_ids"].shape[1] for half in found for part in half["parts"])
    parts = [padded(part, width, longest) for half in found for part in half["parts"]]
    loss, slope = ours(model, None, as_experience(parts), "reinforce++")
    mean = (found[0]["slope"] + found[1]["slope"]) / 2
    assert (found[0]["loss"] + found[1]["loss"]) / 2 == pytest.approx(loss, rel=1e-4, abs=1e-5)
    torch.testing.assert_close(mean, slope, rtol=1e-3, atol=1e-5 * float(slope.abs().max()))


def padded(part, width, longest):
    pad = torch.nn.functional.pad
    wider = {}
    for key, values in part.items():
        if key.startswith("prompt_"):
            wider[key] = pad(values, (width - values.shape[1], 0))
        elif values is not None and values.ndim == 2:
            wider[key] = pad(values, (0, longest - values.shape[1]))
        else:
            wider[key] = values
    return wider


if __name__ == "__main__":
    gradient_of_two(sys.argv[1])
