"""Steps of a policy in vector environments, and the episodes that ended on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from pgtheory.deep.actor_critic import ActorCritic, Agent
from pgtheory.deep.environments import Environments
from pgtheory.objectives.credit import Steps


class Diverged(RuntimeError):
    """Parameters or actions are not finite any more; the last checkpoint, if any, is from before."""


@dataclass(eq=False)
class Rollout:
    """T steps of N environments.

    Attributes
    ----------
    observations : array [T, N, d]
        As the networks saw them.
    raw : array [T, N, d]
        As the environments gave them.
    actions : array [T, N, width]
    rewards : array [T, N]
    terminated, truncated : bool array [T, N]
    last : array [N, d]
        What follows the last step.
    cut : array [k, d]
        The observations in which the truncated episodes were cut, in the order of their flags.
    """

    observations: np.ndarray
    raw: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    last: np.ndarray
    cut: np.ndarray

    def steps(self, networks: ActorCritic, pieces: list[torch.Tensor]) -> Steps:
        """The steps [T, N] with the critic's values of both ends of each."""
        T, N = self.rewards.shape
        everything = np.concatenate([self.observations.reshape(T * N, -1), self.last, self.cut])
        with torch.no_grad():
            values, _ = networks.critic(pieces, torch.from_numpy(everything))
        here = values[: T * N].view(T, N)
        following = torch.cat([here[1:], values[T * N : T * N + N][None]])
        truncated = torch.from_numpy(self.truncated)
        following[truncated] = values[T * N + N :]
        rewards = torch.from_numpy(self.rewards).float()
        return Steps(rewards, here, following, torch.from_numpy(self.terminated), truncated)


@dataclass
class Episodes:
    """Returns and lengths of episodes under way and of the latest that ended."""

    n: int
    returns: np.ndarray = field(init=False)
    lengths: np.ndarray = field(init=False)
    recent: list[tuple[float, int]] = field(default_factory=list)
    window: int = 100

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget the episodes under way."""
        self.returns, self.lengths = np.zeros(self.n), np.zeros(self.n, np.int64)

    def add(self, rewards: np.ndarray, ended: np.ndarray) -> None:
        """One step of every environment."""
        self.returns += rewards
        self.lengths += 1
        if ended.any():
            self.recent += [(float(self.returns[i]), int(self.lengths[i])) for i in np.flatnonzero(ended)]
            del self.recent[: -self.window]
            self.returns[ended], self.lengths[ended] = 0.0, 0

    def summary(self) -> dict[str, float]:
        """Mean return and length of the latest episodes; NaN before the first ended."""
        returns, lengths = np.array(self.recent).T if self.recent else np.full((2, 1), np.nan)
        return {"charts/return": float(returns.mean()), "charts/length": float(lengths.mean())}


def collect(
    environments: Environments,
    agent: Agent,
    observations: np.ndarray,
    n_steps: int,
    rng: np.random.Generator,
    episodes: Episodes,
) -> tuple[Rollout, np.ndarray]:
    """Act for ``n_steps`` from raw observations [N, d]; returns the rollout, and the raw observations after it.

    All noise is drawn at once, before the first step.

    Raises
    ------
    Diverged
        If an action is not finite.
    """
    N, head = environments.n, agent.networks.head
    noise = head.noise(rng, (n_steps, N))
    seen = agent.see(observations)
    shape = (n_steps, *seen.shape)
    kept = np.empty(shape, np.float32)
    rollout = Rollout(
        observations=kept,
        raw=np.empty(shape, np.float32) if agent.normalises else kept,
        actions=np.empty((n_steps, N, head.width), np.float32),
        rewards=np.empty((n_steps, N)),
        terminated=np.empty((n_steps, N), bool),
        truncated=np.empty((n_steps, N), bool),
        last=seen,
        cut=seen[:0],
    )
    cut = []
    for t in range(n_steps):
        actions = agent.choose(seen, noise[t])
        if not np.isfinite(actions).all():
            raise Diverged(
                f"the policy's actions on {environments.name} are not finite any more: a smaller learning rate may "
                "help; the last checkpoint, if any, is from before"
            )
        rollout.raw[t] = observations
        rollout.observations[t], rollout.actions[t] = seen, actions
        after = environments.step(actions[:, 0] if environments.action.discrete else actions)
        rollout.rewards[t] = after.rewards
        rollout.terminated[t] = after.terminated
        only_cut = after.truncated & ~after.terminated
        rollout.truncated[t] = only_cut
        if only_cut.any():
            cut.append(agent.see(after.final_observations[only_cut]))
        episodes.add(after.rewards, after.terminated | after.truncated)
        observations = after.observations
        seen = agent.see(observations)
    rollout.last = np.array(seen)
    if cut:
        rollout.cut = np.concatenate(cut)
    return rollout, observations
