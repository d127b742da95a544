"""A task made of another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks.task import Problem, Task

Inner = TypeVar("Inner", bound=Task)


@dataclass(frozen=True)
class Wrapped(Task, Generic[Inner]):
    """A task that asks what ``task`` asks, and judges as it does, but for what a subclass changes."""

    task: Inner

    def __post_init__(self) -> None:
        validate.instance_of("task", self.task, Task)

    @property
    def alphabet(self) -> str:
        return self.task.alphabet

    @property
    def max_new_tokens(self) -> int:
        return self.task.max_new_tokens

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        return self.task.draw(rng, n)

    def key(self, problem: Problem) -> str:
        return self.task.key(problem)

    def verify(self, problem: Problem, completion: str) -> float:
        return self.task.verify(problem, completion)

    def vote(self, problem: Problem, completion: str) -> str | None:
        return self.task.vote(problem, completion)
