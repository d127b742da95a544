"""Countdown: reach a target from given numbers, each used at most once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks.task import Problem, Task
from small_llm.verifiers import read_expression

_OPERATORS = "+-*/"


@dataclass(frozen=True)
class Countdown(Task):
    """``22:3,5,7=`` asks for an expression in 3, 5 and 7, each used at most once, that is worth 22.

    Every problem has a solution, which is its ``answer``. Any other counts as well: a completion is right when it is
    nothing but an expression (:func:`small_llm.verifiers.read_expression`) that uses no number more often than it
    is given and is exactly worth the target. The target is none of the given numbers. Problems that differ in the
    order of the numbers are on the same side of the split.

    Parameters
    ----------
    numbers : int
        Numbers given, 2 to 8.
    largest : int
        They are uniform on 1 … ``largest``.
    target : int
        The target is at least 1 and at most this.
    """

    numbers: int = 3
    largest: int = 20
    target: int = 100

    def __post_init__(self) -> None:
        if not 2 <= validate.positive_integer("numbers", self.numbers) <= 8:
            raise ValueError(f"numbers must be 2 to 8, got {self.numbers}")
        for bound in ("largest", "target"):
            if not 5 <= validate.positive_integer(bound, getattr(self, bound)) <= 1000:
                raise ValueError(f"{bound} must be 5 to 1000, got {getattr(self, bound)}")
        if self.largest**self.numbers >= 2**62:
            raise ValueError(f"largest must be smaller: products of {self.numbers} numbers overflow")

    @property
    def name(self) -> str:
        usual = Countdown(self.numbers) == self
        return f"countdown{self.numbers}" + (
            "" if usual else f", up to {self.largest}, target up to {self.target}"
        )

    @property
    def alphabet(self) -> str:
        return "".join(sorted("0123456789,:=()" + _OPERATORS))

    @property
    def max_new_tokens(self) -> int:
        pairs_of_parentheses = self.numbers - 2
        return self.numbers * (len(str(self.largest)) + 1) + 2 * pairs_of_parentheses

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        """Random operators from left to right; what does not come out at a whole target in range is thrown away."""
        numbers = rng.integers(1, self.largest + 1, size=(n, self.numbers))
        operators = rng.integers(len(_OPERATORS), size=(n, self.numbers - 1))
        order = rng.permuted(numbers, axis=1)
        value, whole = numbers[:, 0], np.ones(n, dtype=bool)
        for i in range(self.numbers - 1):
            right = numbers[:, i + 1]
            whole &= (operators[:, i] != 3) | (value % right == 0)
            value = np.choose(operators[:, i], (value + right, value - right, value * right, value // right))
        fine = whole & (value >= 1) & (value <= self.target) & (numbers != value[:, None]).all(1)
        return [
            Problem(
                f"{target}:{','.join(map(str, given))}=",
                _left_to_right(terms, signs),
                {"target": target, "numbers": tuple(given)},
            )
            for target, given, terms, signs in zip(
                value[fine].tolist(), order[fine].tolist(), numbers[fine].tolist(), operators[fine].tolist()
            )
        ]

    def key(self, problem: Problem) -> str:
        return f"{problem.data['target']}:{','.join(map(str, sorted(problem.data['numbers'])))}="

    def verify(self, problem: Problem, completion: str) -> float:
        return float(self._value(problem, completion) == problem.data["target"])

    def vote(self, problem: Problem, completion: str) -> str | None:
        """The value of the expression: two ways to the same number are one answer."""
        value = self._value(problem, completion)
        return None if value is None else str(value)

    def _value(self, problem: Problem, completion: str) -> Fraction | None:
        """What a completion is worth that keeps to the rules."""
        read = read_expression(completion)
        return read.value if read and read.used <= Counter(problem.data["numbers"]) else None


def _left_to_right(terms: list[int], operators: list[int]) -> str:
    """The expression that takes the terms in turn, with the parentheses it needs."""
    text, sum_on_top = str(terms[0]), False
    for term, operator in zip(terms[1:], operators):
        if operator >= 2 and sum_on_top:
            text = f"({text})"
        text, sum_on_top = f"{text}{_OPERATORS[operator]}{term}", operator < 2
    return text
