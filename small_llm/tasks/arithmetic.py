"""Arithmetic of graded difficulty: ``12+34=`` and its like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks.task import Problem, Task
from small_llm.verifiers import read_number

_SIGNS = {"add": "+", "sub": "-", "mul": "*"}
LARGEST_DIGITS = 9  # products fit into 64 bits


@dataclass(frozen=True)
class Arithmetic(Task):
    """Two whole numbers, uniform on 0 … 10^digits - 1, and their sum, difference or product.

    A completion is right when it is nothing but a numeral equal to the result
    (:func:`small_llm.verifiers.read_number`). ``12+34`` and ``34+12`` are on the same side of the split.
    """

    operation: str
    digits: int

    def __post_init__(self) -> None:
        if self.operation not in _SIGNS:
            raise ValueError(f"operation must be one of {list(_SIGNS)}, got {self.operation!r}")
        if validate.positive_integer("digits", self.digits) > LARGEST_DIGITS:
            raise ValueError(f"digits must be {LARGEST_DIGITS} at most, got {self.digits}")

    @property
    def name(self) -> str:
        return f"{self.operation}{self.digits}"

    @property
    def alphabet(self) -> str:
        return "".join(sorted("0123456789=" + _SIGNS[self.operation]))

    @property
    def max_new_tokens(self) -> int:
        longest = 2 * self.digits if self.operation == "mul" else self.digits + 1
        return longest + 1

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        a, b = rng.integers(10**self.digits, size=(2, n))
        result = {"add": np.add, "sub": np.subtract, "mul": np.multiply}[self.operation](a, b)
        sign = _SIGNS[self.operation]
        return [Problem(f"{x}{sign}{y}=", str(z)) for x, y, z in zip(a.tolist(), b.tolist(), result.tolist())]

    def key(self, problem: Problem) -> str:
        sign = _SIGNS[self.operation]
        terms = problem.prompt[:-1].split(sign)
        return sign.join(terms if sign == "-" else sorted(terms))

    def verify(self, problem: Problem, completion: str) -> float:
        return float(read_number(completion) == int(problem.answer))

    def vote(self, problem: Problem, completion: str) -> str | None:
        number = read_number(completion)
        return None if number is None else str(number)
