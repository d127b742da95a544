"""The comparison of objectives on a nano model: the settings that all share, and what one run shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.objectives import Clip, GroupZScore, Recipe, SequenceSum, sequence_mean, weighted_mean
from small_llm.config import Config
from small_llm.evaluation import evaluate
from small_llm.opening import prepared
from small_llm.tasks import Task
from small_llm.tasks import task as task_named
from small_llm.training import train
from small_llm.warm_up_settings import WarmUp

RATES = (3e-5, 1e-4, 3e-4, 1e-3)
"""Every recipe's own sweep."""

WARM_UP = WarmUp(accuracy=0.4, check_every=10)
MATCHED: dict[str, Any] = {"steps": 12, "prompts": 16, "group_size": 8, "epochs": 2, "minibatches": 2}
"""What all runs share: 1536 completions, each learned from twice, and 48 updates."""

HELD_OUT = 1024
"""Problems answered at the end, by sampling."""

AGGREGATIONS = {
    "answer's mean": Recipe(GroupZScore(), Clip(0.2), sequence_mean, name="answer's mean"),
    "token mean": Recipe(GroupZScore(), Clip(0.2), weighted_mean, name="token mean"),
    "constant": Recipe(
        GroupZScore(), Clip(0.2), SequenceSum(10), name="constant"
    ),  # AdamW takes no notice of which
}
"""GRPO but for how an answer's length counts: each answer as one, each token as one, and not at all."""


def matched(task: str, recipe: str | Recipe, learning_rate: float, seed: int, **changes: Any) -> Config:
    """A run of the comparison.

    Runs of one task and seed start from the same warmed-up model and meet the same prompts with the same random
    numbers, whatever the recipe.
    """
    shared = {"warm_up": WARM_UP, "evaluation_problems": 1, "measure_every": 0, **MATCHED}
    given = {"task": task, "recipe": recipe, "learning_rate": learning_rate, "seed": seed}
    return Config(**{**shared, **given, **changes})


def outcome(config: Config, *, task: Task | None = None, problems: int = HELD_OUT) -> dict[str, Any]:
    """Train and look: numbers for a table, and curves over the steps.

    Parameters
    ----------
    config : Config
    task : Task, optional
        What gives the rewards, as in :func:`small_llm.train`.
    problems : int
        Held-out problems, answered at temperature 1: what the objectives maximise.

    Returns
    -------
    dict
        ``accuracy`` and ``length`` at the end, ``length_right`` and ``length_wrong`` (of the answers that are; NaN
        where none is), all in tokens; and ``curve_accuracy`` and ``curve_length`` [steps], of the
        answers that were learned from.
    """
    run = train(config, task=task, progress=False)
    return _answers(run.model, run.tokenizer, config, problems) | {
        "curve_accuracy": run.metrics["reward/accuracy"].values,
        "curve_length": run.metrics["answer/length"].values,
    }


def start(config: Config, *, problems: int = HELD_OUT) -> dict[str, float]:
    """The numbers at the end of ``outcome``, before the first step."""
    model, tokenizer = prepared(config, task_named(config.task))
    return _answers(model, tokenizer, config, problems)


def _answers(model: Any, tokenizer: Any, config: Config, problems: int) -> dict[str, float]:
    held_out = evaluate(model, tokenizer, task_named(config.task), problems=problems, temperature=1.0)
    lengths, right = held_out.lengths, held_out.verdicts == 1
    return {
        "accuracy": held_out.accuracy,
        "length": held_out.length,
        "length_right": float(lengths[right].mean()) if right.any() else np.nan,
        "length_wrong": float(lengths[~right].mean()) if not right.all() else np.nan,
    }
