"""Supervised warm-up: a model that never answers rightly has nothing to learn from by policy gradients."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgtheory.deep import checkpoint
from pgtheory.deep.progress import Progress
from pgtheory.objectives import weighted_mean
from small_llm.config import Config
from small_llm.evaluation import evaluate
from small_llm.logprob import token_log_probs
from small_llm.optimiser import Optimiser, rate
from small_llm.rollout import written
from small_llm.tasks import Problem, Task

VERSION = 1
"""Of what this file computes: raise it, and results kept by an earlier one are left alone."""

RAMP = 20  # steps; from a random start Adam's first, full-sized ones do harm
_STREAM = 3  # of random numbers, beside those of ``loop``
_HELD_OUT_SEED = 1  # looks here are not on the problems of the evaluations that are reported


class WarmUpFailed(RuntimeError):
    """The model did not get enough problems right in the steps it was given."""


def warm_up(model: Any, tokenizer: Any, task: Task, config: Config, *, progress: bool = True) -> float:
    """Learn from right answers until ``config.warm_up.accuracy`` of the held-out problems are answered rightly.

    The result is kept in ``config.cache``, or else in ``config.folder``, under a name made of everything that it
    follows from: the weights at the start, the task, the settings and the seed.

    Returns
    -------
    float
        The accuracy reached, by most likely tokens.

    Raises
    ------
    WarmUpFailed
        If ``most_steps`` were not enough.
    """
    settings = config.warm_up
    if settings is None:
        raise ValueError("config must have a warm_up: pass warm_up=WarmUp(accuracy=0.5), say")
    place = config.cache or config.folder
    kept = None if place is None else Path(place) / f"warm-{_key(model, task, config)}.safetensors"
    if kept is not None and kept.exists():
        tensors, record = checkpoint.load(kept)
        _restore(model, tensors)
        return record["accuracy"]
    optimiser = Optimiser(model, max_grad_norm=1.0)
    rng = np.random.default_rng((config.seed, _STREAM))
    accuracy = _look(model, tokenizer, task, config)
    done = 0
    with Progress(settings.most_steps, shown=progress) as bar:
        while accuracy < settings.accuracy:
            if done >= settings.most_steps:
                raise WarmUpFailed(
                    f"{accuracy:.1%} of the held-out problems of {task.name} are right after {done} steps, not "
                    f"{settings.accuracy:.1%}: ask for less, or give it a larger model, more steps or another "
                    "learning rate"
                )
            for _ in range(min(settings.check_every, settings.most_steps - done)):
                imitate(model, tokenizer, task.problems(rng, settings.batch, "train"))
                done += 1
                optimiser.step(rate(settings.learning_rate, "constant", RAMP, done, settings.most_steps))
                bar.update(1)
            accuracy = _look(model, tokenizer, task, config)
            bar.update(0, accuracy)
    if kept is not None:
        record = {"accuracy": accuracy, "steps": done, "task": task.name}
        checkpoint.save(kept, dict(model.named_parameters()), record)
    return accuracy


def imitate(model: Any, tokenizer: Any, problems: list[Problem]) -> float:
    """Add the gradient of the mean negative log-likelihood of the right answers' tokens; returns that mean."""
    answers = written(
        tokenizer, [p.prompt for p in problems], [p.answer for p in problems], device=model.device
    )
    log_prob = token_log_probs(model, answers, temperature=1.0)
    loss = -weighted_mean(log_prob, answers.completion_mask.to(log_prob.dtype))
    loss.backward()
    return float(loss.detach())


def _look(model: Any, tokenizer: Any, task: Task, config: Config) -> float:
    assert config.warm_up is not None
    return evaluate(
        model,
        tokenizer,
        task,
        problems=config.warm_up.problems,
        max_new_tokens=config.max_new_tokens,
        seed=_HELD_OUT_SEED,
    ).accuracy


def _key(model: Any, task: Task, config: Config) -> str:
    start = hashlib.sha256()
    for name, value in sorted(model.named_parameters()):
        start.update(f"\n{name} {value.dtype} {list(value.shape)}\n".encode())
        start.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    chosen = config.to_dict()
    settings = {name: chosen[name] for name in ("model", "warm_up", "seed", "dtype", "max_new_tokens")}
    return digest({**settings, "task": task.name, "start": start.hexdigest(), "version": VERSION})


def _restore(model: Any, tensors: dict[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    checkpoint.expect(tensors, {name: tuple(value.shape) for name, value in parameters.items()})
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(tensors[name])


def digest(record: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that change with any field of a record of JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
