"""GRPO and GBPO on pretrained weights: SmolLM2-135M and a reasoning-gym data set, by low-rank updates in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from small_llm.config import Config
from small_llm.evaluation import Evaluation, evaluate
from small_llm.models import load
from small_llm.ratio_study import curves, matched
from small_llm.rollout import sample
from small_llm.tasks import task
from small_llm.training import train

MODEL, DATASET = "smollm2-135m", "ransom_note"
DATASETS = (DATASET, "calendar_arithmetic", "syllogism", "isomorphic_strings", "letter_counting", "gcd")
"""With short questions and short answers."""

EPSILON = 0.2
SETTINGS: dict[str, Any] = {
    "model": MODEL,
    "task": f"reasoning-gym:{DATASET}",
    "lora": 16,
    "prompts": 4,
    "group_size": 8,
    "epochs": 2,
    "minibatches": 4,
    "temperature": 0.6,
    "max_new_tokens": 8,
    "evaluation_problems": 1,  # by most likely tokens, which tell nothing here: they are "True" from the start
}
"""Of every run: eight updates a step, of one group of answers each."""

HELD_OUT = 64
"""Problems answered before and after, by sampling as in training."""


def pass_rates(dataset: str, *, seed: int, problems: int = 12, groups: int = 8) -> dict[str, float]:
    """How often the model as it comes answers rightly, and has groups that teach something.

    Returns
    -------
    dict
        ``right`` and ``reward``, means over answers; ``mixed``, the share of groups in which some are right and some
        are not; ``length`` in tokens, and the share ``cut`` at 16.
    """
    model, tokenizer = load(MODEL)
    asked = task(f"reasoning-gym:{dataset}")
    drawn = asked.problems(np.random.default_rng(seed), problems, "train")
    answers = sample(
        model,
        tokenizer,
        [problem.prompt for problem in drawn],
        groups=groups,
        max_new_tokens=16,
        temperature=SETTINGS["temperature"],
        generator=torch.Generator().manual_seed(seed),
    )
    texts = np.array(answers.texts).reshape(problems, groups)
    rewards = np.stack([asked.rewards(problem, row.tolist()) for problem, row in zip(drawn, texts)])
    right = rewards == 1
    return {
        "right": float(right.mean()),
        "reward": float(rewards.mean()),
        "mixed": float((right.any(1) & ~right.all(1)).mean()),
        "length": float(answers.completion_mask.sum(1).float().mean()),
        "cut": float(answers.truncated.float().mean()),
    }


def run(
    method: str,
    rate: float,
    steps: int,
    seed: int,
    *,
    folder: str | None = None,
    problems: int = HELD_OUT,
    **changes: Any,
) -> dict[str, Any]:
    """One run of "grpo" or "gbpo".

    Parameters
    ----------
    method : str
        As in :func:`~small_llm.ratio_study.matched`.
    rate : float
        Learning rate.
    steps, seed : int
    folder : str, optional
        For checkpoints; the same call made again goes on from the last.
    problems : int
        Held out, for a look at the end.
    **changes
        Other settings than :data:`SETTINGS`.

    Returns
    -------
    dict
        The :func:`~small_llm.ratio_study.curves`; and at the end :func:`answered`, by sampling.
    """
    config = Config(
        recipe=matched(method, EPSILON),
        learning_rate=rate,
        steps=steps,
        seed=seed,
        folder=folder,
        checkpoint_every=1,
        **{**SETTINGS, **changes},
    )
    made = train(config, progress=False, tensorboard=False)
    return curves(made) | _sampled(made.model, made.tokenizer, config, problems)


def untrained(problems: int = HELD_OUT, **changes: Any) -> dict[str, float]:
    """What :func:`run` returns of the held-out problems, for the model as it comes."""
    config = Config(**{**SETTINGS, **changes})
    return _sampled(*load(config.model, task=task(config.task)), config, problems)


def _sampled(model: Any, tokenizer: Any, config: Config, problems: int) -> dict[str, float]:
    found = evaluate(
        model,
        tokenizer,
        task(config.task),
        problems=problems,
        temperature=config.temperature,
        max_new_tokens=config.max_new_tokens,
    )
    return answered(found)


def answered(evaluation: Evaluation) -> dict[str, float]:
    """Share of right answers, of answers that are "True" and "False", and what always giving the better one would get.

    A model may have learned the form of an answer and nothing else; it then gets what the best constant gets.
    """
    texts = np.array([text.strip() for text in evaluation.texts])
    true = np.array(["True" in problem.answer for problem in evaluation.problems])
    return {
        "right": evaluation.accuracy,
        "true": float((texts == "True").mean()),
        "false": float((texts == "False").mean()),
        "constant": float(max(true.mean(), 1 - true.mean())),
    }
