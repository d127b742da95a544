"""Every group that can be drawn, or a sample of them, with the coefficient of every answer's score."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from pgtheory.objectives.groups import Groups
from pgtheory.objectives.stages import Recipe
from pgtheory.oracle.classes import Classes, all_groups, classify, count_groups, members, multinomial
from pgtheory.oracle.objective import Objective, gradient_by_tokens, refuse_order, sees_only_ratios
from pgtheory.oracle.problem import Problem

CHUNK = 2_000_000
"""Numbers that are worked on at once."""

TRIED = 5
"""Groups whose answers are put in another order, to see whether that changes anything."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Everything about every answer [P, M, ...], and its class."""

    now: torch.Tensor
    old: torch.Tensor
    ref: torch.Tensor
    rewards: torch.Tensor
    mask: torch.Tensor
    classes: list[Classes]

    @classmethod
    def of(
        cls, objective: Objective, problem: Problem, theta: torch.Tensor, old: torch.Tensor, ref: torch.Tensor
    ) -> Tables:
        """Sort the problem's answers by what the objective may see of them."""
        now, before, reference = (problem.tokens(x).detach() for x in (theta, old, ref))
        mask = problem.mask.double()
        seen = [now - before]
        if not sees_only_ratios(objective):
            seen += [now, now - reference]
        elif isinstance(objective, Recipe) and objective.kl is not None:
            # and with it before - reference, which is what a penalty in the reward sees
            seen.append(now - reference)
        exact, measured = torch.cat([problem.rewards[..., None], mask], -1), torch.cat(seen, -1)
        chances = before.sum(-1).exp()
        total = chances.sum(-1)
        if not torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-6):
            worst = float(total[(total - 1).abs().argmax()])
            raise ValueError(
                f"problem must list every answer once: under theta_old their probabilities sum to {worst:.9g}"
            )
        classes = [classify(*rows) for rows in zip(exact, measured, chances)]
        return cls(now, before, reference, problem.rewards, mask, classes)

    def groups(self, prompts: list[int], answers: torch.Tensor) -> Groups:
        """Batches of these answers [N, P', G] to the prompts [P']."""
        row = torch.tensor(prompts)[:, None]
        return Groups(
            self.now[row, answers],
            self.old[row, answers],
            self.rewards[row, answers],
            self.mask[row, answers],
            log_prob_ref=self.ref[row, answers],
        )


class Sum:
    """All N batches of one group for each of some prompts P', or a sample of them.

    Attributes
    ----------
    exact : bool
        All of them.
    probability : array [N]
        Zero for batches that dynamic sampling draws again.
    members : integer array [N, P', G]
        Class of each answer.
    coefficients : tensor [N, P', G, T]
        Of each token's score in the update, minus the loss's derivative.
    """

    def __init__(
        self,
        objective: Objective,
        tables: Tables,
        prompts: list[int],
        G: int,
        max_terms: int,
        samples: int,
        rng: np.random.Generator | None,
    ) -> None:
        self.tables, self.prompts = tables, prompts
        classes = [tables.classes[p] for p in prompts]
        total = prod(count_groups(G, len(c)) for c in classes)
        self.exact = total <= max_terms
        if self.exact:
            counts = [all_groups(G, len(c)) for c in classes]
            chances = [multinomial(n, c.probability) for n, c in zip(counts, classes)]
            grid = np.indices([len(n) for n in counts]).reshape(len(counts), -1)
            drawn = [members(n)[i] for n, i in zip(counts, grid)]
            self.probability = np.prod([q[i] for q, i in zip(chances, grid)], 0)
        else:
            if rng is None:
                raise ValueError(
                    f"rng must be given: {total} groups are more than max_terms={max_terms}, so they are sampled"
                )
            drawn = [rng.choice(len(c), (samples, G), p=c.probability) for c in classes]
            self.probability = np.full(samples, 1 / samples)
        self.members = np.stack(drawn, 1)
        self.coefficients = self._differentiate(objective)
        if isinstance(objective, Recipe) and objective.mixed_only:
            self.probability = self.probability * self._mixed()

    def __len__(self) -> int:
        return len(self.members)

    def _differentiate(self, objective: Objective) -> torch.Tensor:
        found, size = [], max(1, CHUNK // (self.members[0].size * self.tables.mask.shape[-1]))
        for rows in np.split(np.arange(len(self)), range(size, len(self), size)):
            found.append(-gradient_by_tokens(objective, self._groups(rows)))
        coefficients = torch.cat(found)
        if self.exact and self.members.shape[-1] > 1 and not sees_only_ratios(objective):
            kinds = (np.diff(self.members) > 0).sum((1, 2))
            most = np.argsort(kinds, kind="stable")[-TRIED:]
            refuse_order(objective, self._groups(most), -coefficients[torch.as_tensor(most)])
        return coefficients

    def _groups(self, rows: np.ndarray) -> Groups:
        answers = [
            self.tables.classes[p].representative[torch.as_tensor(self.members[rows, i])]
            for i, p in enumerate(self.prompts)
        ]
        return self.tables.groups(self.prompts, torch.stack(answers, 1))

    def _mixed(self) -> np.ndarray:
        """Which batches [N] have unequal rewards in every group."""
        mixed = np.ones(len(self), bool)
        for i, p in enumerate(self.prompts):
            rewards = self.tables.rewards[p, self.tables.classes[p].representative].numpy()[
                self.members[:, i]
            ]
            mixed &= rewards.max(-1) > rewards.min(-1)
        return mixed

    def part(self, rows: slice) -> tuple[slice, np.ndarray]:
        """These of the batches and their probabilities; all of them where they were not sampled."""
        if self.exact:
            return slice(None), self.probability
        chances = self.probability[rows]
        return rows, chances * (len(self) / len(chances))

    def spread(self, weights: torch.Tensor, rows: slice, chances: np.ndarray) -> None:
        """Add the expected coefficient of every token of every answer to weights [P, M, T]."""
        q = torch.as_tensor(chances)[:, None, None]
        for i, p in enumerate(self.prompts):
            classes = self.tables.classes[p]
            flat = (q * self.coefficients[rows, i]).reshape(-1, weights.shape[-1])
            of_class = torch.zeros(len(classes), weights.shape[-1], dtype=torch.float64)
            of_class.index_add_(0, torch.as_tensor(self.members[rows, i].ravel()), flat)
            weights[p] += of_class[classes.of] * classes.share[:, None]

    def second_moment(self, scores: torch.Tensor) -> float:
        """Expected squared norm of one batch's update, from the scores of all tokens [P, M, T, dim]."""
        T, dim = scores.shape[2:]
        averages, spreads = [], []
        for p in self.prompts:
            classes = self.tables.classes[p]
            weighted = classes.share[:, None, None] * scores[p]
            average = torch.zeros(len(classes), T, dim, dtype=torch.float64).index_add(
                0, classes.of, weighted
            )
            gram = torch.einsum("mtd,mud->mtu", weighted, scores[p])
            gram = torch.zeros(len(classes), T, T, dtype=torch.float64).index_add(0, classes.of, gram)
            averages.append(average)
            spreads.append(gram - torch.einsum("ktd,kud->ktu", average, average))
        total, size = 0.0, max(1, CHUNK // (self.members.shape[-1] * T * max(T, dim)))
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            mean, within = torch.zeros(1, dim, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
            for i, (average, spread) in enumerate(zip(averages, spreads)):
                who, c = torch.as_tensor(self.members[rows, i]), self.coefficients[rows, i]
                mean = mean + torch.einsum("ngt,ngtd->nd", c, average[who])
                within = within + torch.einsum("ngt,ngtu,ngu->n", c, spread[who], c)
            total += float(torch.as_tensor(self.probability[rows]) @ ((mean**2).sum(-1) + within))
        return total
