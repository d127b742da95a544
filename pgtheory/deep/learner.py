"""One update: credit a rollout, pass over it in shuffled minibatches, and say what that did to the ratios."""

from __future__ import annotations

import numpy as np
import torch

from pgtheory.deep.actor_critic import ActorCritic
from pgtheory.deep.adam import Adam, make_step, sizes
from pgtheory.deep.algorithms.on_policy import Batch, Minibatch, OnPolicy
from pgtheory.deep.rollout import Rollout

RATIO_QUANTILES = (0.5, 0.9, 0.99)


class Learner:
    """An algorithm's update on one kind of networks.

    Parameters
    ----------
    algorithm : OnPolicy
    networks : ActorCritic
    compiled : bool
        See ``adam.make_step``.
    """

    def __init__(self, algorithm: OnPolicy, networks: ActorCritic, *, compiled: bool) -> None:
        self.algorithm, self.networks = algorithm, networks
        self._step = make_step(
            self._loss,
            networks.split,
            max_grad_norm=algorithm.max_grad_norm,
            epsilon=algorithm.adam_epsilon,
            compiled=compiled,
        )

    def update(
        self,
        adam: Adam,
        multiplier: torch.Tensor,
        rollout: Rollout,
        rng: np.random.Generator,
        learning_rate: float,
    ) -> tuple[Adam, torch.Tensor, dict[str, float]]:
        """Learn from a rollout; returns the new state and the update's metrics."""
        algorithm, networks = self.algorithm, self.networks
        batch, table = self._credited(adam.theta, rollout)
        theta, metrics = algorithm.before_epochs(networks, adam.theta, batch)
        n, size = len(table), algorithm.minibatch
        per_epoch = n // size
        step_sizes = sizes(adam.t, algorithm.epochs * per_epoch, learning_rate)
        state = (theta, adam.first, adam.second, multiplier)
        norms = []
        for epoch in range(algorithm.epochs):
            shuffled = table[torch.from_numpy(rng.permutation(n))]
            for i in range(per_epoch):
                rows = shuffled[i * size : (i + 1) * size]
                *moved, norm = self._step(*state, rows, step_sizes[epoch * per_epoch + i])
                state = tuple(moved)  # type: ignore[assignment]
                norms.append(norm)
        theta, first, second, multiplier = state
        metrics |= self._metrics(theta, multiplier, batch)
        metrics["losses/gradient_norm"] = float(torch.stack(norms).mean())
        metrics["losses/multiplier"] = float(multiplier)
        return Adam(theta, first, second, adam.t + len(step_sizes)), multiplier, metrics

    def _loss(
        self, pieces: list[torch.Tensor], rows: torch.Tensor, multiplier: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        d = self.networks.n_observations
        observations, actions, rest = rows[:, :d], rows[:, d:-3], rows[:, -3:]
        out = self.networks.outputs(pieces, observations, actions)
        return self.algorithm.loss(out, Minibatch(*rest.unbind(1)), multiplier)

    def _credited(self, theta: torch.Tensor, rollout: Rollout) -> tuple[Batch, torch.Tensor]:
        """All decisions of a rollout, and the same as a table [n, d + width + 3]."""
        pieces = self.networks.split(theta)
        steps = rollout.steps(self.networks, pieces)
        credit = self.algorithm.credit(steps)
        observations = torch.from_numpy(rollout.observations).flatten(0, 1)
        actions = torch.from_numpy(rollout.actions).flatten(0, 1)
        with torch.no_grad():
            out = self.networks.outputs(pieces, observations, actions)
        batch = Batch(
            observations, actions, out.log_prob, credit.advantage.flatten(), credit.target.flatten()
        )
        columns = [observations, actions, torch.stack(batch[2:], 1)]
        return batch, torch.cat(columns, 1)

    def _metrics(self, theta: torch.Tensor, multiplier: torch.Tensor, batch: Batch) -> dict[str, float]:
        """How far the update went, over the whole rollout."""
        with torch.no_grad():
            out = self.networks.outputs(self.networks.split(theta), batch.observations, batch.actions)
            log_ratio = out.log_prob - batch.log_prob
            ratio = log_ratio.exp()
            away = (ratio - 1).abs()
            total, _ = self.algorithm.loss(out, Minibatch(*batch[2:]), multiplier)
            metrics = {
                f"ratio/q{100 * q:.0f}": float(value)
                for q, value in zip(RATIO_QUANTILES, np.quantile(away.numpy(), RATIO_QUANTILES))
            }
            error = batch.target - out.value
            return metrics | {
                "ratio/max": float(away.max()),
                "ratio/kl": float((ratio - 1 - log_ratio).mean()),
                "losses/total": float(total),
                "losses/value": float((error**2).mean()),
                "losses/explained_variance": float(1 - error.var() / (batch.target.var() + 1e-12)),
                "losses/entropy": float(out.entropy.mean()),
            }
