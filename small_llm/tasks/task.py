"""What a task is: problems drawn at random, split by a hash, and a verifier that no completion can break."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks.splits import HELD_OUT, check_split, split_of

_SHARE = {"train": 1 - HELD_OUT, "test": HELD_OUT}
_FRUITLESS = 10_000  # draws without a problem of the wanted split before giving up


@dataclass(frozen=True)
class Problem:
    """A prompt, one right answer in the form a model should give it, and what else the verifier needs.

    ``data`` is empty where the answer says it all.
    """

    prompt: str
    answer: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Task(ABC):
    """Problems with a verifier. A task of your own needs the three properties, ``draw``, ``verify`` and ``vote``."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As :func:`small_llm.tasks.task` knows it, and telling it apart from tasks with other settings."""

    @property
    @abstractmethod
    def alphabet(self) -> str:
        """Every character of prompts and right answers once, sorted: the vocabulary of a character tokenizer."""

    @property
    @abstractmethod
    def max_new_tokens(self) -> int:
        """Enough for every right answer and an end-of-sequence token, at a token per character."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        """About ``n`` independent problems of both splits together; fewer where some had to be thrown away."""

    @abstractmethod
    def verify(self, problem: Problem, completion: str) -> float:
        """How right a completion is, in [0, 1]; for any string, in bounded time, without running any of it."""

    @abstractmethod
    def vote(self, problem: Problem, completion: str) -> str | None:
        """The answer that a completion gives, in a form equal for equal answers; ``None`` if it gives none."""

    def key(self, problem: Problem) -> str:
        """What decides a problem's split: equal for problems that are the same question asked differently."""
        return problem.prompt

    def problems(self, rng: np.random.Generator, n: int, split: str = "train") -> list[Problem]:
        """``n`` independent problems of one split, drawn with replacement.

        Raises
        ------
        TypeError, ValueError
            For a split other than "train" and "test", an ``n`` that is no positive integer, or a split without
            problems, which happens to tasks of a handful.
        """
        check_split(split)
        validate.positive_integer("n", n)
        validate.instance_of("rng", rng, np.random.Generator)
        found: list[Problem] = []
        fruitless = 0
        while len(found) < n:
            asked = max(math.ceil((n - len(found)) / _SHARE[split]), fruitless)  # twice as many each time
            drawn = self.draw(rng, asked)
            fresh = [problem for problem in drawn if split_of(self.key(problem)) == split]
            found += fresh
            fruitless = 0 if fresh else fruitless + asked
            if fruitless >= _FRUITLESS:
                raise ValueError(
                    f"split {split!r} of task {self.name!r} has no problems: the task has too few"
                )
        return found[:n]

    def problem(self, rng: np.random.Generator, split: str = "train") -> Problem:
        """One problem; :meth:`problems` draws many at a fraction of the cost."""
        return self.problems(rng, 1, split)[0]

    def prompt(self, i: int, split: str = "train") -> str:
        """The task's prompt number ``i``, the same everywhere: for looking at a task."""
        return self.problem(np.random.default_rng(i), split).prompt

    def rewards(self, problem: Problem, completions: Sequence[str]) -> np.ndarray:
        """Rewards ``[G]`` of a group of completions of one problem: what a policy learns from.

        Each one's verdict here; a wrapper may make the rewards of a group depend on each other.
        """
        return np.array([self.verify(problem, completion) for completion in completions], dtype=np.float64)
