"""The comparison of prompts alone with prefixes of solved examples, on chains of choices: how runs are made."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from small_llm.config import Config
from small_llm.evaluation import evaluate
from small_llm.loop import Loop
from small_llm.models import load
from small_llm.optimiser import Optimiser, rate
from small_llm.tasks import Task
from small_llm.tasks.chain import Babble, Balanced, Chain, Prefixes
from small_llm.warm_up import RAMP, imitate

METHODS = ("prompt", "uniform", "backwards")
"""Where completions begin: at the prompt, after prefixes of any length, or after ever shorter ones."""

SETTINGS: dict[str, Any] = {"recipe": "grpo", "prompts": 8, "group_size": 8, "measure_every": 0}
"""Of every run: 64 completions a step, learned from once."""

CONTROLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "informative": ({"prompts": 4, "group_size": 16}, {}),
    "one a prefix": ({"prompts": 64, "group_size": 1, "recipe": "reinforce++"}, {"balanced": True}),
    "group mean": ({"prompts": 4, "group_size": 16}, {"balanced": True}),
    "compared": ({"prompts": 4, "group_size": 16}, {"balanced": True, "least": 4}),
}
"""64 completions a step in every arm: settings, and what :func:`learned` takes beside them."""

CLIMB = 0.75
"""Share of right completions in a step after which "backwards" goes one letter back."""

SOLVED, CHECKED, CHECK_EVERY = 0.5, 64, 4
"""A chain counts as solved when so many of so many held-out prompts are answered rightly by sampling."""

_FORM_STEPS, _FORM_BATCH, _FORM_RATE, _STREAM = 200, 32, 3e-3, 7


def formed(chain: Chain, seed: int) -> tuple[Any, Any]:
    """A nano model that has learned from random words how an answer looks, and its tokenizer."""
    model, tokenizer = load("nano", task=chain, seed=seed)
    optimiser, rng = Optimiser(model, max_grad_norm=1.0), np.random.default_rng((seed, _STREAM))
    for done in range(1, _FORM_STEPS + 1):
        imitate(model, tokenizer, Babble(chain).problems(rng, _FORM_BATCH))
        optimiser.step(rate(_FORM_RATE, "linear", RAMP, done, _FORM_STEPS + 1))
    return model, tokenizer


def learned(
    start: tuple[Any, Any],
    chain: Chain,
    method: str,
    config: Config,
    *,
    true: bool = True,
    balanced: bool = False,
    least: int = 0,
) -> dict[str, Any]:
    """Train until the chain is solved or ``config.steps`` are done.

    Parameters
    ----------
    start : model and tokenizer
        Left as they were.
    chain : Chain
    method : {"prompt", "uniform", "backwards"}
    config : Config
    true, balanced, least
        As in :class:`~small_llm.tasks.chain.Prefixes` and :class:`~small_llm.tasks.chain.Balanced`.

    Returns
    -------
    dict
        ``completions`` that were learned from until then, whether ``solved``, ``accuracy`` at the last look,
        and of every step the ``layer`` that was the earliest and the share ``right``.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    validate.instance_of("config", config, Config)

    def resets(layers: tuple[int, ...]) -> Task:
        if balanced:
            return Balanced(chain, layers, least=least, seed=config.seed)
        return Prefixes(chain, layers, true=true)

    layer = chain.length - 1 if method == "backwards" else 0
    first = tuple(range(chain.length)) if method == "uniform" else (layer,)
    loop = Loop(config.replace(task=chain.name), copy.deepcopy(start[0]), start[1], resets(first), chain)
    found: dict[str, list[float]] = {"layer": [], "right": []}
    accuracy = 0.0
    while loop.done < config.steps and accuracy < SOLVED:
        row = loop.step()
        for name, value in zip(found, (layer, row["reward/accuracy"])):
            found[name].append(float(value))
        if layer and row["reward/accuracy"] >= CLIMB:
            layer -= 1
            loop.task = resets((layer,))
        if loop.done % CHECK_EVERY == 0:
            looked = evaluate(
                loop.model, start[1], chain, problems=CHECKED, temperature=1.0, seed=config.seed + loop.done
            )
            accuracy = looked.accuracy
    spent = loop.done * config.prompts * config.group_size
    return {"completions": spent, "solved": accuracy >= SOLVED, "accuracy": accuracy, **found}
