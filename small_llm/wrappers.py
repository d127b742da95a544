"""Rewards that are wrong on purpose, or that need no right answer: what objectives have to live with.

Both wrap a task and are one: problems, prompts and tokens are the task's own, and so is the verdict on held-out
problems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from pgtheory.mdp import validate
from small_llm.tasks import Problem, Task, split_of
from small_llm.tasks.wrapped import Wrapped


@dataclass(frozen=True)
class NoisyLabels(Wrapped[Task]):
    """A verifier that errs: with probability ``p`` a verdict r on a training problem becomes 1 - r.

    The coin is a hash of seed, prompt and completion: the verifier is wrong about an answer whenever it sees it,
    as a faulty verifier is, and no state has to be kept for a run to resume. On held-out problems it does not err.
    """

    p: float
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.probability("p", self.p)
        validate.positive_integer("seed", self.seed, 0)

    @property
    def name(self) -> str:
        return f"{self.task.name}, {self.p} of labels wrong, seed {self.seed}"

    def verify(self, problem: Problem, completion: str) -> float:
        return self._heard(problem, completion, self.task.verify(problem, completion))

    def rewards(self, problem: Problem, completions: Sequence[str]) -> np.ndarray:
        verdicts = self.task.rewards(problem, completions).tolist()
        return np.array(
            [self._heard(problem, *pair) for pair in zip(completions, verdicts)], dtype=np.float64
        )

    def _heard(self, problem: Problem, completion: str, verdict: float) -> float:
        """What is reported in place of a verdict."""
        if split_of(self.key(problem)) == "test":
            return verdict
        return 1.0 - verdict if self._coin(problem.prompt, completion) < self.p else verdict

    def _coin(self, prompt: str, completion: str) -> float:
        """A number in [0, 1) that looks uniform."""
        message = f"{self.seed}:{len(prompt)}:{prompt}{completion}".encode("utf-8", "surrogatepass")
        digest = blake2b(message, digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> 11) / 2**53


@dataclass(frozen=True)
class MajorityVote(Wrapped[Task]):
    """Test-time reinforcement learning (Zuo et al., arXiv:2504.16084): right is what most of the group say.

    The reward of a completion is 1 when its answer (:meth:`Task.vote`) is the most frequent in its group, else 0;
    completions without an answer have no vote and no reward. Answers that tie for the first place are all
    rewarded, so a group in which nobody agrees teaches nothing, whatever the order of its completions. The true
    answer is used by ``verify`` only.
    """

    @property
    def name(self) -> str:
        return f"{self.task.name}, majority vote"

    def rewards(self, problem: Problem, completions: Sequence[str]) -> np.ndarray:
        votes = [self.vote(problem, completion) for completion in completions]
        count = Counter(vote for vote in votes if vote is not None)
        most = max(count.values(), default=0)
        return np.array([vote is not None and count[vote] == most for vote in votes], dtype=np.float64)
