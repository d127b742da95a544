"""One update: credit for a step's answers, then passes over whole groups in shuffled minibatches."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from pgtheory.objectives import Decisions, Decoupled, Groups, Recipe
from small_llm import processes
from small_llm.config import Config
from small_llm.diagnostics import measure
from small_llm.experience import Experience, NotFinite
from small_llm.logprob import token_log_probs
from small_llm.optimiser import Optimiser
from small_llm.policy import spread, unsynchronised


class Learner:
    """A recipe's update of one model, which several processes may share.

    All of them have all answers, and give the same credit. Each runs the model on its share of a minibatch; the
    log-probabilities are gathered, everyone differentiates the whole loss by them, and pulls its own share back.

    Parameters
    ----------
    model : transformers model
    objective : Recipe
    config : Config
    reference : transformers model, optional
        For recipes with a penalty towards it; without one, the model with its low-rank updates switched off.
    """

    def __init__(self, model: Any, objective: Recipe, config: Config, reference: Any = None) -> None:
        self.model, self.objective, self.config, self.reference = model, objective, config, reference
        self.policy = spread(model, sharded=config.sharded)
        self.frozen = None if reference is None else spread(reference, sharded=config.sharded, learns=False)
        self.optimiser = Optimiser(
            model, weight_decay=config.weight_decay, max_grad_norm=config.max_grad_norm
        )

    def update(
        self, experience: Experience, rng: np.random.Generator, learning_rate: float, *, measured: bool = True
    ) -> dict[str, float]:
        """Learn from a step's answers and return metrics.

        Raises
        ------
        NotFinite
            When a reward, a log-probability or a gradient is not; the model is then as after the last good
            minibatch.
        """
        decisions = self.decisions(experience)
        losses, norms = [], []
        for _ in range(self.config.epochs):
            order = torch.from_numpy(rng.permutation(len(experience.rewards)))
            for prompts in order.chunk(self.config.minibatches):
                if not (decisions.weights[prompts] > 0).any():
                    continue  # dynamic sampling left nothing; a step would only follow old momentum
                losses.append(self.backward(experience, decisions, prompts))
                norms.append(self.optimiser.step(learning_rate))
                if not np.isfinite(norms[-1]):
                    raise NotFinite(f"the gradient's norm is {norms[-1]}")
        row = {"losses/total": _mean(losses), "losses/gradient_norm": _mean(norms)}
        return row | (self._measured(experience, decisions) if measured else {})

    def decisions(self, experience: Experience) -> Decisions:
        """Every token [P, G, T] with its credit, which is given once, to the whole step together."""
        _require_finite("a reward", experience.rewards)
        old = experience.log_prob_old
        _require_finite("a log-probability of the sampled answers", old[experience.mask > 0])
        reference = proximal = None
        if self.objective.kl is not None:
            reference = self._reference(experience)
        if isinstance(self.objective.surrogate, Decoupled):
            proximal = self._forward(self.policy, experience)
        groups = Groups(
            old, old, experience.rewards, experience.mask, log_prob_ref=reference, log_prob_prox=proximal
        )
        return self.objective.decisions(groups)

    def backward(self, experience: Experience, decisions: Decisions, prompts: torch.Tensor) -> float:
        """Add the gradient of a minibatch's loss to the model's; returns the loss.

        In parts, the loss of the whole minibatch is first differentiated by its log-probabilities, and each part is
        then pulled back through the model: exact for every aggregation, also where a loss couples answers.
        """
        parts = processes.share(prompts).chunk(self.config.accumulate)
        if len(parts) == processes.count() == 1:
            log_prob = self._log_prob(self.policy, experience, prompts)
            loss = self.objective.loss(chosen(decisions, log_prob, prompts))
            loss.backward()
            return float(loss.detach())
        with torch.no_grad():
            log_prob = torch.cat([self._log_prob(self.policy, experience, part) for part in parts])
        log_prob = processes.gathered(log_prob).requires_grad_()
        loss = self.objective.loss(chosen(decisions, log_prob, prompts))
        (slope,) = torch.autograd.grad(loss, log_prob)
        slope = processes.share(slope) * processes.count()  # the engines take the mean over processes
        for i, slope_of_part in enumerate(slope.split([len(part) for part in parts]), 1):
            with unsynchronised(self.policy, i < len(parts)):
                self._log_prob(self.policy, experience, parts[i - 1]).backward(slope_of_part)
        return float(loss.detach())

    def discrepancy(self, experience: Experience) -> float:
        """Largest difference between log-probabilities kept from sampling and those of a teacher-forced pass."""
        there = experience.mask > 0
        forced, kept = self._forward(self.policy, experience)[there], experience.log_prob_old[there]
        _require_finite("a log-probability of the sampled answers", kept)
        _require_finite("a teacher-forced log-probability", forced)
        return float((forced - kept).abs().max())

    def _measured(self, experience: Experience, decisions: Decisions) -> dict[str, float]:
        with torch.no_grad():
            found = [
                self._log_prob(self.policy, experience, part, entropy=True)
                for part in self._parts(experience)
            ]
        log_prob, entropy = (processes.gathered(torch.cat(values)) for values in zip(*found))
        return measure(self.objective, decisions.replace(log_prob=log_prob), entropy, experience.mask)

    def _reference(self, experience: Experience) -> torch.Tensor:
        if self.frozen is not None:
            return self._forward(self.frozen, experience)
        with self.model.disable_adapter():
            return self._forward(self.policy, experience)

    def _forward(self, policy: torch.nn.Module, experience: Experience) -> torch.Tensor:
        """Log-probabilities of all answers [P, G, T], without gradients, in parts of a minibatch's size."""
        with torch.no_grad():
            found = [self._log_prob(policy, experience, part) for part in self._parts(experience)]
        return processes.gathered(torch.cat(found))

    def _parts(self, experience: Experience) -> tuple[torch.Tensor, ...]:
        """This process's prompts, as many at a time as in learning."""
        mine = processes.share(torch.arange(len(experience.rewards)))
        return mine.chunk(self.config.minibatches * self.config.accumulate)

    def _log_prob(
        self, policy: torch.nn.Module, experience: Experience, prompts: torch.Tensor, *, entropy: bool = False
    ) -> Any:
        """Log-probabilities [p, G, T] of some prompts' answers, with their tokens' entropies where asked for."""
        G = experience.rewards.shape[1]
        answers = (prompts[:, None] * G + torch.arange(G)).flatten()
        everything = experience.rollouts
        some = replace(
            everything.rows(answers),
            prompt_ids=everything.prompt_ids[prompts],  # once, for all of their answers
            prompt_mask=everything.prompt_mask[prompts],
        )
        found = policy(token_log_probs, some, temperature=self.config.temperature, entropy=entropy)
        if entropy:
            return tuple(value.float().unflatten(0, (len(prompts), G)) for value in found)
        return found.float().unflatten(0, (len(prompts), G))


def chosen(decisions: Decisions, log_prob: torch.Tensor, prompts: torch.Tensor) -> Decisions:
    """The decisions of some prompts, with the log-probabilities [p, G, T] of the policy that learns."""
    kept = {field.name: getattr(decisions, field.name) for field in fields(decisions)}
    rows = {
        name: None if value is None else value[prompts] for name, value in kept.items() if name != "log_prob"
    }
    return Decisions(log_prob, **rows)


def _require_finite(what: str, values: torch.Tensor) -> None:
    if not torch.isfinite(values).all():
        raise NotFinite(f"{what} is {values[~torch.isfinite(values)][0].item()}")


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
