"""A chain of choices that pays only at its end, and resets to prefixes of its solved examples.

Constructions of this project, after the locks of :mod:`pgtheory.agnostic.instances`.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks.task import Problem, Task
from small_llm.tasks.wrapped import Wrapped
from small_llm.verifiers import same_text

_DIGITS = 3  # of a prompt: a label that says nothing
_NOTHING = "#"  # in no alphabet: a wrong letter cannot be made good
LATENTS = ("good", "bad", "counterfeit")


@dataclass(frozen=True)
class Chain(Task):
    """``length`` letters, each one of its layer's ``choices``, are all right or worth nothing: ``271>`` is ``bdig``.

    Every layer has letters of its own, ``abc``, ``def`` and so on: a state knows its layer. The digits of a prompt
    are drawn at random and say nothing: the same secret opens all, and only the reward tells of it.
    """

    length: int
    choices: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        validate.positive_integer("length", self.length)
        validate.positive_integer("choices", self.choices, 2)
        if self.length * self.choices > len(string.ascii_letters):
            raise ValueError(
                f"length * choices must be at most {len(string.ascii_letters)}, the number of letters, got "
                f"{self.length} * {self.choices}"
            )
        validate.positive_integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        choices = "" if self.choices == 3 else f", {self.choices} choices"
        return f"chain{self.length}{choices}" + (f", secret {self.seed}" if self.seed else "")

    @property
    def alphabet(self) -> str:
        return "".join(sorted(string.digits + ">" + string.ascii_letters[: self.length * self.choices]))

    @property
    def secret(self) -> str:
        """The one right answer."""
        return self.words(np.random.default_rng((self.seed, self.length, self.choices)), 1)[0]

    @property
    def max_new_tokens(self) -> int:
        return self.length + 1

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        secret = self.secret
        return [Problem(prompt, secret) for prompt in self.prompts(rng, n)]

    def prompts(self, rng: np.random.Generator, n: int) -> list[str]:
        """Digits that say nothing."""
        return [f"{number:0{_DIGITS}d}>" for number in rng.integers(10**_DIGITS, size=n)]

    def words(self, rng: np.random.Generator, n: int) -> list[str]:
        """Answers chosen at random."""
        letters = rng.integers(self.choices, size=(n, self.length)) + np.arange(self.length) * self.choices
        return ["".join(string.ascii_letters[i] for i in row) for row in letters]

    def verify(self, problem: Problem, completion: str) -> float:
        return float(same_text(completion, problem.answer))

    def vote(self, problem: Problem, completion: str) -> str | None:
        return completion.strip() or None

    def key(self, problem: Problem) -> str:
        return problem.prompt[: _DIGITS + 1]


@dataclass(frozen=True)
class _OfChain(Wrapped[Chain]):
    """The prompts and answers of a chain, drawn otherwise."""

    def __post_init__(self) -> None:
        validate.instance_of("task", self.task, Chain)


@dataclass(frozen=True)
class Babble(_OfChain):
    """Right is whatever was drawn: learned from, it shows the form of an answer and nothing of the secret."""

    @property
    def name(self) -> str:
        return f"{self.task.name}, babble"

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        words = self.task.words(rng, n)
        return [Problem(*pair) for pair in zip(self.task.prompts(rng, n), words)]


@dataclass(frozen=True)
class Prefixes(_OfChain):
    """Prompts that go on with the first letters of the secret: resets to states of solved examples.

    Parameters
    ----------
    task : Chain
    layers : tuple of int
        How many letters are given; one of these, uniformly. ``(0,)`` is the prompt alone.
    true : bool
        Otherwise the letters are drawn at random: as many, and usually one is wrong for good.
    """

    layers: tuple[int, ...]
    true: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_layers(self.task, self.layers)
        validate.flag("true", self.true)

    @property
    def name(self) -> str:
        return f"{self.task.name}, {'' if self.true else 'random '}prefixes {list(self.layers)}"

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        given, secret = rng.choice(self.layers, size=n), self.task.secret
        words = [secret] * n if self.true else self.task.words(rng, n)
        return [
            Problem(prompt + word[:h], secret[h:] if word[:h] == secret[:h] else _NOTHING)
            for prompt, word, h in zip(self.task.prompts(rng, n), words, given)
        ]


@dataclass(frozen=True)
class Balanced(_OfChain):
    """Resets whose reward, averaged over them, is 1/2 whatever the answer: the balanced lock.

    The letters of a prefix are drawn at random, so that they tell nothing of what it is worth: after a *good* one
    the right rest pays 1, after a *counterfeit* one it pays 0, and all else pays 1 or 0 at the toss of a coin. The
    three are equally likely; a prompt alone is good.

    Parameters
    ----------
    task : Chain
    layers : tuple of int
        How many letters are given.
    least : int
        With 0 a reward is what the state pays. Otherwise the answers of a group, which continue one prefix, are
        compared: 1 for an answer that was given at least so many times and paid every time, else 0.
    seed : int
        Of the coins, which are a hash of it, the prompt, the answer and its place in the group.
    """

    layers: tuple[int, ...]
    least: int = field(default=0, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_layers(self.task, self.layers)
        validate.positive_integer("least", self.least, 0)
        validate.positive_integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        return f"{self.task.name}, balanced {list(self.layers)}, least {self.least}, coins {self.seed}"

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        given, kinds = rng.choice(self.layers, size=n), rng.integers(len(LATENTS), size=n)
        words, secret = self.task.words(rng, n), self.task.secret
        return [
            Problem(prompt + word[:h], secret[h:], {"latent": LATENTS[kind] if h else "good"})
            for prompt, word, h, kind in zip(self.task.prompts(rng, n), words, given, kinds)
        ]

    def rewards(self, problem: Problem, completions: Sequence[str]) -> np.ndarray:
        paid = np.array([self._paid(problem, *pair) for pair in enumerate(completions)], dtype=np.float64)
        if not self.least:
            return paid
        texts = np.array(completions)
        same = texts[:, None] == texts
        always = (paid * same).sum(1) == same.sum(1)
        return (always & (same.sum(1) >= self.least)).astype(np.float64)

    def _paid(self, problem: Problem, place: int, completion: str) -> float:
        latent = problem.data["latent"]
        if latent != "bad" and self.verify(problem, completion):
            return float(latent == "good")
        message = f"{self.seed}:{place}:{problem.prompt}:{completion}".encode("utf-8", "surrogatepass")
        return float(blake2b(message, digest_size=1).digest()[0] & 1)


def _check_layers(chain: Chain, layers: tuple[int, ...]) -> None:
    validate.instance_of("layers", layers, tuple)
    if not layers or not all(isinstance(h, int) and 0 <= h < chain.length for h in layers):
        raise ValueError(f"layers must be numbers of letters, 0 to {chain.length - 1}, got {layers!r}")
