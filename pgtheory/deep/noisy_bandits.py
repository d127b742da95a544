"""Softmax contextual bandits with noisy rewards, one instance for each seed: where ratios are easy to look at.

Mean rewards are drawn once for each seed, contexts are uniform, a policy is a table of logits [arms, contexts]: in this
order the softmax, which is most of the work, runs along contiguous memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pgtheory.objectives import Decisions

CONTEXTS, ARMS = 16, 6
BASELINES = ("exact", "running", "batch")
TRACKING = 0.1  # of a running baseline towards each reward
NO_SPREAD = 1e-8  # added to a standard deviation that may be 0


class NoisyBandits:
    r"""Instances of the bandit, a random stream each, and what is remembered of their rewards.

    A seed fixes its mean rewards :math:`\mathcal N(0,1)`, its contexts, and the random numbers behind its arms and its
    noise, whatever policy asks for them and whatever seeds stand beside it.

    Parameters
    ----------
    seeds : sequence of int
        Rows; a seed may come twice.
    noise : array [seeds]
        Standard deviation of the rewards.
    batch : int
        Decisions collected at a time.
    baseline : str
        One of ``BASELINES``.
    normalise : bool
        Scale each batch's advantages to mean 0 and standard deviation 1.
    """

    def __init__(
        self, seeds: Sequence[int], noise: np.ndarray, batch: int, baseline: str, normalise: bool
    ) -> None:
        self.streams = [np.random.default_rng(seed) for seed in seeds]
        means = [stream.standard_normal((ARMS, CONTEXTS)) for stream in self.streams]
        self.means, self.noise = torch.from_numpy(np.stack(means)), torch.from_numpy(noise)[:, None]
        self.batch, self.baseline, self.normalise = batch, baseline, normalise
        self.running = torch.zeros(len(means), CONTEXTS, dtype=torch.float64)

    @property
    def optimum(self) -> torch.Tensor:
        """Value of the best policy [seeds]."""
        return self.means.amax(1).mean(1)

    def values(self, logits: torch.Tensor) -> torch.Tensor:
        """Exact value of every context [seeds, contexts]."""
        return (logits.softmax(1) * self.means).sum(1)

    def collect(self, logits: torch.Tensor) -> tuple[torch.Tensor, Decisions]:
        """A batch from the policy of these logits [seeds, arms, contexts].

        Returns
        -------
        pairs : tensor [seeds, batch]
            Positions of the pairs taken in a flat table.
        decisions : Decisions
            The pairs with the log-probabilities and the advantages that they had, [seeds, batch].
        """
        contexts, uniform, normal = self._draw()
        cumulative = logits.softmax(1).cumsum(1)
        cumulative = cumulative.gather(2, contexts[:, None, :].expand(-1, ARMS, -1))
        arms = (cumulative < uniform[:, None, :]).sum(1).clamp(max=ARMS - 1)
        pairs = arms * CONTEXTS + contexts
        rewards = self.means.flatten(1).gather(1, pairs) + self.noise * normal
        log_prob = log_prob_of(logits, pairs)
        return pairs, Decisions(log_prob, log_prob, self._advantage(logits, contexts, rewards))

    def _draw(self) -> list[torch.Tensor]:
        n = self.batch
        draws = [(s.integers(CONTEXTS, size=n), s.random(n), s.standard_normal(n)) for s in self.streams]
        return [torch.from_numpy(np.stack(column)) for column in zip(*draws)]

    def _advantage(self, logits: torch.Tensor, contexts: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
        match self.baseline:
            case "exact":
                advantage = rewards - self.values(logits).gather(1, contexts)
            case "running":
                advantage = rewards - self.running.gather(1, contexts)
                self._track(contexts, rewards)
            case _:
                advantage = rewards - rewards.mean(1, keepdim=True)
        if self.normalise:
            advantage = advantage - advantage.mean(1, keepdim=True)
            # not torch.std, whose rounding depends on how many seeds there are
            advantage = advantage / ((advantage**2).mean(1, keepdim=True).sqrt() + NO_SPREAD)
        return advantage

    def _track(self, contexts: torch.Tensor, rewards: torch.Tensor) -> None:
        """One reward after the other, in the order of the batch."""
        for context, reward in zip(contexts.split(1, dim=1), rewards.split(1, dim=1)):
            old = self.running.gather(1, context)
            self.running.scatter_(1, context, old + TRACKING * (reward - old))


def log_prob_of(logits: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Log-probabilities [seeds, batch] of pairs [seeds, batch] under logits [seeds, arms, contexts]."""
    return logits.log_softmax(1).flatten(1).gather(1, pairs)
