"""How often a model answers held-out problems rightly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pgtheory.mdp import validate
from small_llm.passk import pass_rate
from small_llm.rollout import sample
from small_llm.tasks import Problem, Task

BATCH = 256
"""Answers sampled at once."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Answers to held-out problems.

    Attributes
    ----------
    accuracy, low, high : float
        pass@1, the share that the verifier gives 1, with Wilson's 95 % interval.
    reward : float
        Mean of the verifier's verdicts, which may be partial.
    length : float
        Mean tokens of an answer.
    truncated : float
        Share of answers that were cut.
    problems : list of Problem, [n]
    texts : list of str, [n]
    verdicts : array [n]
    cut : array of bool, [n]
    lengths : array [n]
        Tokens of each, the one that ends it included.
    """

    accuracy: float
    low: float
    high: float
    reward: float
    length: float
    truncated: float
    problems: list[Problem]
    texts: list[str]
    verdicts: np.ndarray
    cut: np.ndarray
    lengths: np.ndarray

    def row(self) -> dict[str, float]:
        """The numbers, for metrics."""
        return {
            name: getattr(self, name) for name in ("accuracy", "low", "high", "reward", "length", "truncated")
        }

    def __str__(self) -> str:
        n = len(self.problems)
        return f"{self.accuracy:.1%} right [{self.low:.1%}, {self.high:.1%}] of {n} held-out problems"


def evaluate(
    model: Any,
    tokenizer: Any,
    task: Task,
    *,
    problems: int = 256,
    temperature: float = 0.0,
    max_new_tokens: int | None = None,
    seed: int = 0,
) -> Evaluation:
    """Answer held-out problems once each, by the most likely tokens or by sampling.

    Parameters
    ----------
    model, tokenizer
        From ``models.load``.
    task : Task
    problems : int
        How many; the same seed draws the same.
    temperature : float
        0 takes the most likely token every time.
    max_new_tokens : int, optional
        The task's by default.
    seed : int
    """
    validate.instance_of("task", task, Task)
    validate.positive_integer("problems", problems)
    validate.non_negative("temperature", temperature)
    rng = np.random.default_rng(validate.positive_integer("seed", seed, 0))
    drawn = task.problems(rng, problems, "test")
    generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    texts: list[str] = []
    tokens, cut = [], []
    for start in range(0, problems, BATCH):
        rollouts = sample(
            model,
            tokenizer,
            [problem.prompt for problem in drawn[start : start + BATCH]],
            groups=1,
            max_new_tokens=max_new_tokens or task.max_new_tokens,
            temperature=temperature,
            generator=generator,
        )
        texts += rollouts.texts
        tokens.append(rollouts.completion_mask.sum(-1).cpu().numpy())
        cut.append(rollouts.truncated.cpu().numpy())
    verdicts = np.array([task.verify(problem, text) for problem, text in zip(drawn, texts)], dtype=np.float64)
    right = pass_rate((verdicts == 1)[:, None])
    lengths = np.concatenate(tokens)
    was_cut = np.concatenate(cut).astype(bool)
    return Evaluation(
        accuracy=right.value,
        low=right.low,
        high=right.high,
        reward=float(verdicts.mean()),
        length=float(lengths.mean()),
        truncated=float(was_cut.mean()),
        problems=drawn,
        texts=texts,
        verdicts=verdicts,
        cut=was_cut,
        lengths=lengths,
    )
