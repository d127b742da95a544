"""Sort and copy: what a transformer can do with characters alone."""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks.task import Problem, Task
from small_llm.verifiers import same_text


class _ExactText(Task):
    """Right is the answer's own text, white space at both ends aside."""

    def verify(self, problem: Problem, completion: str) -> float:
        return float(same_text(completion, problem.answer))

    def vote(self, problem: Problem, completion: str) -> str | None:
        return completion.strip() or None


@dataclass(frozen=True)
class Sort(_ExactText):
    """Put ``length`` random digits in order: ``31415>`` is answered by ``11345``.

    All orders of the same digits are on the same side of the split.
    """

    length: int

    def __post_init__(self) -> None:
        validate.positive_integer("length", self.length)

    @property
    def name(self) -> str:
        return f"sort{self.length}"

    @property
    def alphabet(self) -> str:
        return "0123456789>"

    @property
    def max_new_tokens(self) -> int:
        return self.length + 1

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        drawn = _texts(rng.integers(10, size=(n, self.length)), string.digits)
        return [Problem(text + ">", "".join(sorted(text))) for text in drawn]

    def key(self, problem: Problem) -> str:
        return problem.answer + ">"


@dataclass(frozen=True)
class Copy(_ExactText):
    """Repeat ``length`` random lower-case letters: ``xkcdab=`` is answered by ``xkcdab``."""

    length: int

    def __post_init__(self) -> None:
        validate.positive_integer("length", self.length)

    @property
    def name(self) -> str:
        return f"copy{self.length}"

    @property
    def alphabet(self) -> str:
        return "=" + string.ascii_lowercase

    @property
    def max_new_tokens(self) -> int:
        return self.length + 1

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        drawn = _texts(rng.integers(26, size=(n, self.length)), string.ascii_lowercase)
        return [Problem(text + "=", text) for text in drawn]


def _texts(indices: np.ndarray, characters: str) -> list[str]:
    """Rows of indices ``[n, length]`` as strings."""
    rows = np.frombuffer(characters.encode("ascii"), np.uint8)[indices]
    return [row.tobytes().decode("ascii") for row in rows]
