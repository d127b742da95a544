"""Problems so small that every answer can be listed: bandits, contextual bandits, token trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

from pgtheory.mdp import validate

MAX_LEAVES = 1_000_000


@dataclass(frozen=True, eq=False)
class Problem:
    r"""P equally likely prompts with M listed answers each; the policy is a function of a parameter vector.

    Parameters
    ----------
    log_prob : callable
        Parameters [dim] → log-probabilities of the answers' tokens, tensor [P, M, T], anything at padding.
    rewards : tensor [P, M]
    mask : bool tensor [P, M, T]
        An answer's tokens.
    dim : int
    name : str

    Raises
    ------
    ValueError
        If shapes do not fit together or a reward is not finite.
    """

    log_prob: Callable[[torch.Tensor], torch.Tensor]
    rewards: torch.Tensor
    mask: torch.Tensor
    dim: int
    name: str = "problem"

    def __post_init__(self) -> None:
        rewards, mask = torch.as_tensor(self.rewards).detach().double(), torch.as_tensor(self.mask).bool()
        if rewards.ndim != 2 or mask.ndim != 3 or mask.shape[:2] != rewards.shape or 0 in mask.shape:
            raise ValueError(
                f"rewards must have shape [P, M] and mask [P, M, T], got {list(rewards.shape)} and {list(mask.shape)}"
            )
        if not torch.isfinite(rewards).all():
            raise ValueError("rewards must be finite")
        validate.positive_integer("dim", self.dim)
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "mask", mask)

    def __repr__(self) -> str:
        P, M, T = self.mask.shape
        return f"<{self.name}: {P} prompts, {M} answers of up to {T} tokens, {self.dim} parameters>"

    def check(self, theta: Any, name: str = "theta") -> torch.Tensor:
        """Parameters as a float64 vector [dim], or an error that calls them ``name``."""
        values = torch.as_tensor(theta, dtype=torch.float64)
        if values.shape != (self.dim,):
            raise ValueError(f"{name} must be a vector [dim] = [{self.dim}], got shape {list(values.shape)}")
        if not torch.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got {values[~torch.isfinite(values)][0]:g}")
        return values.detach()

    def tokens(self, theta: torch.Tensor) -> torch.Tensor:
        """Log-probabilities [P, M, T] of the tokens, 0 at padding."""
        values = self.log_prob(theta)
        return torch.where(self.mask, values, torch.zeros_like(values))

    def probabilities(self, theta: torch.Tensor) -> torch.Tensor:
        """Of the answers [P, M]."""
        return self.tokens(theta).sum(-1).exp()

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        r""":math:`J(\theta)`, the expected reward over prompts and answers."""
        return (self.probabilities(theta) * self.rewards).sum(-1).mean()

    def gradient(self, theta: torch.Tensor) -> torch.Tensor:
        r""":math:`\nabla J` [dim]."""
        leaf = self.check(theta).clone().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(self.value(leaf), leaf)[0]


def bandit(rewards: Any) -> Problem:
    """One prompt, an answer of one token for each reward [M]; theta are its logits."""
    return contextual_bandit(validate.real_array("rewards", rewards, (None,), "[M]")[None], name="bandit")


def contextual_bandit(rewards: Any, *, name: str = "contextual bandit") -> Problem:
    """P prompts and M answers of one token, rewards [P, M]; theta are the logits, row by row."""
    table = validate.real_array("rewards", rewards, (None, None), "[P, M]")
    P, M = table.shape

    def log_prob(theta: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(theta.view(P, M), -1)[..., None]

    return Problem(log_prob, torch.as_tensor(table), torch.ones(P, M, 1, dtype=torch.bool), P * M, name)


def success(p: Sequence[float]) -> tuple[Problem, torch.Tensor]:
    """Prompts with a right answer (reward 1) and a wrong one (0), and logits that give the first chances p [P]."""
    chances = validate.real_array("p", p, (None,), "[P]")
    if not ((chances > 0) & (chances < 1)).all():
        raise ValueError("p must lie strictly between 0 and 1: elsewhere no logits are finite")
    problem = contextual_bandit(np.tile([1.0, 0.0], (len(chances), 1)), name="right or wrong")
    logits = np.stack([np.log(chances), np.log1p(-chances)], 1)
    return problem, torch.as_tensor(logits.ravel())


def token_tree(
    vocabulary: int,
    length: int,
    reward: Callable[[tuple[int, ...]], float] | Sequence[Callable[[tuple[int, ...]], float]],
    *,
    eos: int | None = None,
    shared: bool = False,
) -> Problem:
    """Every answer of up to ``length`` tokens; with ``eos``, answers end there (it counts as a token).

    Parameters
    ----------
    vocabulary, length : int
    reward : callable, or one for each prompt
        An answer's tokens, the end included, → its reward.
    eos : int, optional
        The token that ends an answer; all answers have full length without it.
    shared : bool
        One vector of logits [P, V] for all prefixes, in place of one for each prefix [P, prefixes, V].

    Raises
    ------
    ValueError
        If there are more than 10⁶ answers.
    """
    V, L = validate.positive_integer("vocabulary", vocabulary), validate.positive_integer("length", length)
    if eos is not None and not 0 <= validate.positive_integer("eos", eos, 0) < V:
        raise ValueError(f"eos must be a token 0..{V - 1}, got {eos}")
    count = V**L if eos is None else sum((V - 1) ** (t - 1) for t in range(1, L + 1)) + (V - 1) ** L
    if count > MAX_LEAVES:
        raise ValueError(
            f"vocabulary {V} and length {L} give more than {MAX_LEAVES} answers: make one smaller"
        )
    answers = _answers(V, L, eos)
    rewards = (
        [reward]
        if callable(reward)
        else validate.sequence("reward", reward, "functions, one for each prompt")
    )
    P, M = len(rewards), len(answers)
    table = torch.tensor([[float(r(answer)) for answer in answers] for r in rewards], dtype=torch.float64)
    tokens = torch.zeros(M, L, dtype=torch.int64)
    mask = torch.zeros(M, L, dtype=torch.bool)
    nodes: dict[tuple[int, ...], int] = {}
    where = torch.zeros(M, L, dtype=torch.int64)
    for m, answer in enumerate(answers):
        tokens[m, : len(answer)] = torch.tensor(answer)
        mask[m, : len(answer)] = True
        for t in range(len(answer)):
            where[m, t] = 0 if shared else nodes.setdefault(answer[:t], len(nodes))
    N = 1 if shared else len(nodes)
    flat = where * V + tokens

    def log_prob(theta: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(theta.view(P, N, V), -1).reshape(P, -1)[:, flat]

    return Problem(log_prob, table, mask.expand(P, M, L), P * N * V, "token tree")


def _answers(V: int, L: int, eos: int | None) -> list[tuple[int, ...]]:
    if eos is None:
        return list(product(range(V), repeat=L))
    others = [token for token in range(V) if token != eos]
    ended = [(*body, eos) for t in range(L) for body in product(others, repeat=t)]
    return ended + list(product(others, repeat=L))
