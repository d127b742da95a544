"""Parts: write a number as a sum, of as many terms as one likes. Right answers come in many lengths."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks.task import Problem, Task
from small_llm.verifiers import read_expression

MOST_PARTS = 6
_SUM = re.compile(r"0*[1-9][0-9]*(?:\+0*[1-9][0-9]*)+", re.ASCII)
_LARGEST_DIGITS = 6


@dataclass(frozen=True)
class Parts(Task):
    """``17=`` asks for two or more positive whole numbers that add up to 17, such as ``9+5+3``.

    Numbers are uniform on 2 … 10^digits - 1. The ``answer`` is one way of many, in 2 to ``MOST_PARTS`` parts; a
    completion is right when it is nothing but a sum of at least two positive numerals that is worth the number. The
    length of an answer is thus a policy's own choice, which makes this the task on which to see what an objective
    does to it.
    """

    digits: int = 2

    def __post_init__(self) -> None:
        if validate.positive_integer("digits", self.digits) > _LARGEST_DIGITS:
            raise ValueError(f"digits must be {_LARGEST_DIGITS} at most, got {self.digits}")

    @property
    def name(self) -> str:
        return f"parts{self.digits}"

    @property
    def alphabet(self) -> str:
        return "+0123456789="

    @property
    def max_new_tokens(self) -> int:
        return MOST_PARTS * (self.digits + 1)

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        """Cuts at random places."""
        numbers = rng.integers(2, 10**self.digits, size=n)
        parts = rng.integers(2, np.minimum(numbers, MOST_PARTS) + 1)
        drawn = []
        for number, k in zip(numbers.tolist(), parts.tolist()):
            cuts = np.sort(rng.choice(number - 1, k - 1, replace=False)) + 1
            terms = np.diff(cuts, prepend=0, append=number).tolist()
            drawn.append(Problem(f"{number}=", "+".join(map(str, terms))))
        return drawn

    def verify(self, problem: Problem, completion: str) -> float:
        return float(self.vote(problem, completion) == problem.prompt[:-1])

    def vote(self, problem: Problem, completion: str) -> str | None:
        """What the sum is worth: two ways to the same number are one answer."""
        text = completion.strip()
        read = read_expression(text)
        return None if read is None or not _SUM.fullmatch(text) else str(read.value)
