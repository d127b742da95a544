"""The comparison of GRPO and GBPO on a language model: matched recipes, and the record of one run."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.objectives import BoundedRatio, Clip, GroupTarget, Recipe, recipe
from small_llm.config import Config, WarmUp
from small_llm.evaluation import evaluate
from small_llm.opening import prepared
from small_llm.tasks import task as task_named
from small_llm.training import Run, train
from small_llm.wrappers import NoisyLabels

METHODS = ("grpo", "gbpo", "gbpo-median")
TEMPERATURE = 1e-4
"""λ of GBPO's targets, the official code's."""

SETTINGS: dict[str, Any] = {
    "task": "add2",
    "prompts": 16,
    "group_size": 8,
    "warm_up": WarmUp(accuracy=0.7),
    "evaluation_problems": 64,
}
"""Of every run at nano size."""


def matched(method: str, epsilon: float) -> Recipe:
    """GRPO, or GBPO with normalised or the median's targets, whose clip or box is [1 - epsilon, 1 + epsilon].

    Advantages and the mean over tokens are the same; they differ in the surrogate alone, and GBPO in its targets.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    chosen = recipe(method)
    if isinstance(chosen.surrogate, Clip):
        return chosen.replace(surrogate=Clip(epsilon, dual=chosen.surrogate.dual))
    if isinstance(chosen.credit, GroupTarget):
        chosen = chosen.replace(credit=GroupTarget(epsilon, temperature=TEMPERATURE))
    return chosen.replace(surrogate=BoundedRatio(epsilon, temperature=TEMPERATURE))


def record(config: Config, *, noise: float = 0.0, problems: int = 1024) -> dict[str, Any]:
    """One run and what came of it.

    Parameters
    ----------
    config : Config
        Its task gives the rewards, and the verdicts on held-out problems.
    noise : float
        Chance that a training problem's verdict is wrong, by :class:`~small_llm.wrappers.NoisyLabels`.
    problems : int
        Held-out problems, answered once each before and after by sampling at the run's temperature.

    Returns
    -------
    dict
        ``before`` and ``after``, accuracies on the held-out problems, and the :func:`curves`.
    """
    judge = task_named(config.task)
    seen = config.replace(measure_every=1)

    def held_out(model: Any, tokenizer: Any) -> float:
        return evaluate(
            model,
            tokenizer,
            judge,
            problems=problems,
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
        ).accuracy

    before = held_out(*prepared(seen, judge))
    run = train(seen, task=NoisyLabels(judge, noise, config.seed) if noise else None, progress=False)
    return {"before": before, "after": held_out(run.model, run.tokenizer), **curves(run)}


def curves(run: Run) -> dict[str, np.ndarray]:
    r"""What a run measured at every step, arrays [steps].

    Of the answers sampled in a step, ``accuracy`` by the true verdict, ``mixed`` (share of groups whose rewards differ)
    and ``length``; of its update ``ratio_q50``, ``ratio_q99`` and ``ratio_max``, quantiles of :math:`|\rho-1|` over the
    step's tokens once its epochs are over, and ``kl``, KL(old ‖ new).
    """
    columns = {
        "accuracy": "reward/accuracy",
        "mixed": "reward/mixed",
        "length": "answer/length",
        "kl": "ratio/kl",
    } | {f"ratio_{name}": f"ratio/{name}" for name in ("q50", "q99", "max")}
    return {name: np.asarray(run.metrics[key].values, float) for name, key in columns.items()}
