"""Where training stands, and one update of it; saved to and restored from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgtheory.deep import checkpoint
from pgtheory.deep.actor_critic import ActorCritic, Agent, Network
from pgtheory.deep.adam import Adam
from pgtheory.deep.algorithms.on_policy import OnPolicy
from pgtheory.deep.environments import Environments
from pgtheory.deep.heads import Categorical, Gaussian, Head
from pgtheory.deep.learner import Learner
from pgtheory.deep.normalise import Moments, RewardScale
from pgtheory.deep.rollout import Diverged, Episodes, collect

INITIAL, ACTING, SHUFFLING, RESETS = range(4)  # streams of random numbers


class Loop:
    """The state of training.

    All its randomness is a function of the seed and the number of updates done, so a checkpoint holds no generators.
    """

    def __init__(
        self,
        algorithm: OnPolicy,
        worlds: Environments,
        network: Network,
        *,
        seed: int,
        compiled: bool,
        normalise_observations: bool,
        normalise_rewards: bool,
        schedule: dict[str, int],
    ) -> None:
        self.algorithm, self.worlds, self.seed = algorithm, worlds, seed
        self.done = 0  # updates
        size, action = worlds.observation_size, worlds.action
        head: Head = Categorical(action.size) if action.discrete else Gaussian(action.size, network.log_std)
        self.networks = ActorCritic(size, head, network, algorithm.has_median)
        self.learner = Learner(algorithm, self.networks, compiled=compiled)
        self.adam = Adam.start(self.networks.initial(self._rng(INITIAL)))
        self.multiplier = torch.tensor(algorithm.initial_multiplier(), dtype=torch.float32)
        self.moments = Moments.start(size) if normalise_observations else None
        self.rewards = RewardScale(worlds.n, algorithm.discount) if normalise_rewards else None
        self.episodes = Episodes(worlds.n)
        self.observations = np.empty((worlds.n, size), np.float32)
        self.identity = {  # what makes two runs the same
            "algorithm": repr(algorithm),
            "network": repr(network),
            "environment": worlds.name,
            "n_environments": worlds.n,
            "seed": seed,
            "normalise": [normalise_observations, normalise_rewards],
            **schedule,
        }

    @property
    def steps(self) -> int:
        """Environment steps so far."""
        return self.done * self.algorithm.n_steps * self.worlds.n

    def agent(self) -> Agent:
        """The policy as it is now, with parameters of its own."""
        shift = scale = None
        if self.moments is not None:
            shift, scale = self.moments.mean.copy(), self.moments.scale
        return Agent(self.networks, self.adam.theta.clone(), shift, scale)

    def reset(self) -> None:
        """Start every environment anew, with seeds for this point of the run."""
        self.episodes.restart()
        if self.rewards is not None:
            self.rewards.returns[:] = 0.0
        self.observations = self.worlds.reset(int(self._rng(RESETS).integers(2**62)))

    def update(self, learning_rate: float) -> dict[str, float]:
        """Roll out, learn, and return the update's metrics."""
        rollout, self.observations = collect(
            self.worlds,
            self.agent(),
            self.observations,
            self.algorithm.n_steps,
            self._rng(ACTING),
            self.episodes,
        )
        if self.rewards is not None:
            rollout.rewards = self.rewards(rollout.rewards, rollout.terminated | rollout.truncated)
        adam, self.multiplier, row = self.learner.update(
            self.adam, self.multiplier, rollout, self._rng(SHUFFLING), learning_rate
        )
        if not torch.isfinite(adam.theta).all():
            raise Diverged(
                f"the parameters are not finite after update {self.done + 1} of {self.algorithm!r} on "
                f"{self.worlds.name}: a smaller learning rate may help; the last checkpoint, if any, is from before"
            )
        if self.moments is not None:
            self.moments.update(rollout.raw.reshape(-1, self.worlds.observation_size))
        self.adam = adam
        self.done += 1
        return row | self.episodes.summary() | {"charts/learning_rate": learning_rate}

    def save(self, folder: Path) -> None:
        """Write a checkpoint."""
        tensors: dict[str, Any] = {
            "theta": self.adam.theta,
            "adam_first": self.adam.first,
            "adam_second": self.adam.second,
            "multiplier": self.multiplier,
            "recent_episodes": np.array(self.episodes.recent, np.float64).reshape(-1, 2),
        }
        for name, moments in self._all_moments():
            tensors |= {f"{name}_{key}": value for key, value in moments.arrays().items()}
        record = {**self.identity, "done": self.done, "adam_t": self.adam.t}
        checkpoint.keep(folder, self.steps, tensors, record)

    def resume(self, folder: Path) -> None:
        """Go on from the newest checkpoint in a folder, if there is one.

        Raises
        ------
        CheckpointError
            If it belongs to another run, naming what differs.
        """
        path = checkpoint.latest(folder)
        if path is None:
            return
        tensors, record = checkpoint.load(path)
        checkpoint.expect_run(path, record, self.identity)
        dim = (self.networks.dim,)
        checkpoint.expect(tensors, {"theta": dim, "adam_first": dim, "adam_second": dim, "multiplier": ()})
        self.adam = Adam(tensors["theta"], tensors["adam_first"], tensors["adam_second"], record["adam_t"])
        self.multiplier = tensors["multiplier"]
        self.episodes.recent = [(float(r), int(n)) for r, n in tensors["recent_episodes"].tolist()]
        self.done = record["done"]
        for name, moments in self._all_moments():
            moments.restore({key: tensors[f"{name}_{key}"].numpy() for key in moments.arrays()})

    def _all_moments(self) -> list[tuple[str, Moments]]:
        found = [] if self.moments is None else [("observations", self.moments)]
        return found if self.rewards is None else [*found, ("rewards", self.rewards.moments)]

    def _rng(self, stream: int) -> np.random.Generator:
        """Random numbers of the update to come."""
        return np.random.default_rng((self.seed, stream, self.done))
