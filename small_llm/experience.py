"""What a step learns from: problems, sampled answers in groups, and their rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgtheory.deep import checkpoint
from small_llm.rollout import Rollouts, sample
from small_llm.tasks import Problem, Task

_TENSORS = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "log_prob", "truncated")


class NotFinite(RuntimeError):
    """A reward, a logit or a gradient is NaN or infinite; the message says which, and where the step's data lie."""


@dataclass(frozen=True, eq=False)
class Experience:
    """P problems with G answers each.

    Attributes
    ----------
    problems : list of Problem, [P]
    rollouts : Rollouts
        The answers of one problem in succession.
    rewards : tensor [P, G]
        What is learned from; a wrapper may have made them noisy, or a matter of votes.
    accuracy : float
        Share of answers that the task's own verifier finds right.
    """

    problems: list[Problem]
    rollouts: Rollouts
    rewards: torch.Tensor
    accuracy: float

    @property
    def mask(self) -> torch.Tensor:
        """1 for the answers' tokens [P, G, T], their end included."""
        return self.rollouts.completion_mask.unflatten(0, self.rewards.shape)

    @property
    def log_prob_old(self) -> torch.Tensor:
        """Of the policy that sampled [P, G, T]; 0 behind an answer's end."""
        return self.rollouts.log_prob.unflatten(0, self.rewards.shape)

    @property
    def mixed(self) -> torch.Tensor:
        """Which groups [P] have rewards that differ."""
        return self.rewards.amax(1) > self.rewards.amin(1)

    def to(self, device: str | torch.device) -> Experience:
        """The same on a device."""
        return replace(self, rollouts=self.rollouts.to(device), rewards=self.rewards.to(device))

    def some(self, prompts: torch.Tensor) -> Experience:
        """The groups [p] of some prompts, by integer index; ``accuracy`` stays that of all."""
        G, chosen = self.rollouts.groups, prompts.tolist()
        answers = (prompts[:, None] * G + torch.arange(G, device=prompts.device)).flatten()
        rollouts = self.rollouts.rows(answers)
        rollouts = replace(
            rollouts,
            prompt_ids=self.rollouts.prompt_ids[prompts],
            prompt_mask=self.rollouts.prompt_mask[prompts],
        )
        return replace(
            self,
            problems=[self.problems[i] for i in chosen],
            rollouts=rollouts,
            rewards=self.rewards[prompts],
        )

    def summary(self) -> dict[str, float]:
        """Metrics of the answers."""
        return {
            "reward/mean": float(self.rewards.mean()),
            "reward/accuracy": self.accuracy,
            "reward/mixed": float(self.mixed.float().mean()),
            "answer/length": float(self.mask.sum(-1).float().mean()),
            "answer/truncated": float(self.rollouts.truncated.float().mean()),
        }

    def save(self, path: Path, why: str) -> None:
        """Write everything down, for a look at what went wrong."""
        tensors = {name: getattr(self.rollouts, name) for name in _TENSORS}
        record = {
            "why": why,
            "prompts": [problem.prompt for problem in self.problems],
            "answers": [problem.answer for problem in self.problems],
            "texts": self.rollouts.texts,
        }
        checkpoint.save(path, {**tensors, "rewards": self.rewards}, record)


def collect(
    model: Any,
    tokenizer: Any,
    problems: list[Problem],
    task: Task,
    judge: Task,
    *,
    group_size: int,
    max_new_tokens: int,
    temperature: float,
    generator: torch.Generator,
    before: int = 0,
) -> Experience:
    """Sample answers to problems; ``task`` rewards them, ``judge`` says which are right.

    The random numbers of ``before`` problems are passed over: problems that follow others get the answers that they
    would get in one call with these.
    """
    if before:  # what ``sample`` draws for them
        torch.rand(before * group_size, max_new_tokens, generator=generator, dtype=torch.float64)
    rollouts = sample(
        model,
        tokenizer,
        [problem.prompt for problem in problems],
        groups=group_size,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        generator=generator,
    )
    texts = [rollouts.texts[i : i + group_size] for i in range(0, len(rollouts.texts), group_size)]
    rewards = np.stack([task.rewards(problem, group) for problem, group in zip(problems, texts)])
    verdicts = [judge.verify(problem, text) for problem, group in zip(problems, texts) for text in group]
    on_device = torch.from_numpy(rewards).float().to(rollouts.log_prob.device)
    return Experience(problems, rollouts, on_device, float(np.mean(np.array(verdicts) == 1)))


def joined(parts: Sequence[Experience]) -> Experience:
    """Experiences with equally large groups as one, padded to the longest prompt and answer."""
    if len(parts) == 1:
        return parts[0]
    rollouts = [part.rollouts for part in parts]

    def padded(name: str) -> torch.Tensor:
        """Prompts are flush right, answers flush left."""
        values = [getattr(r, name) for r in rollouts]
        longest = max(v.shape[1] for v in values)
        before = name.startswith("prompt")
        rooms = [(longest - v.shape[1], 0) if before else (0, longest - v.shape[1]) for v in values]
        return torch.cat([torch.nn.functional.pad(v, room) for v, room in zip(values, rooms)])

    whole = Rollouts(
        **{name: padded(name) for name in _TENSORS if name != "truncated"},
        truncated=torch.cat([r.truncated for r in rollouts]),
        texts=[text for r in rollouts for text in r.texts],
    )
    answers = np.array([part.rewards.numel() for part in parts])
    accuracy = float(answers @ [part.accuracy for part in parts] / answers.sum())
    problems = [problem for part in parts for problem in part.problems]
    return Experience(problems, whole, torch.cat([part.rewards for part in parts]), accuracy)
