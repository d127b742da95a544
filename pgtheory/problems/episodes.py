"""Episodes of a network policy, sampled for many parameter vectors at once."""

from dataclasses import dataclass

import numpy as np

from pgtheory.policies.networks import Network
from pgtheory.problems.simulators import CartPoles, OneByOne


@dataclass(frozen=True, eq=False)
class Episodes:
    """n episodes for each seed; what follows the end of an episode is zero.

    Attributes
    ----------
    observations : array [seeds, n, H, n_observations]
        What the policy saw at each decision.
    actions : array [seeds, n, H], or [seeds, n, H, n_actions] where they are continuous
    rewards : array [seeds, n, H]
        NaN for a seed whose parameters were not finite.
    lengths : int array [seeds, n]
        Decisions taken: H, or fewer where the episode ended before.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    lengths: np.ndarray

    @property
    def taken(self) -> np.ndarray:
        """Which decisions were taken, bool [seeds, n, H]."""
        return np.arange(self.rewards.shape[-1]) < self.lengths[..., None]


def play(
    policy: Network, world: OneByOne | CartPoles, theta: np.ndarray, keys: np.ndarray, n: int, horizon: int
) -> Episodes:
    """n episodes of at most ``horizon`` decisions for each row of theta [seeds, dim] and key [seeds].

    All random numbers of a seed come from its key: starts, what the environment draws, and the policy's.
    """
    seeds = len(theta)
    finite = np.isfinite(theta).all(axis=1)
    theta = np.where(finite[:, None], theta, 0.0)
    generators = [np.random.default_rng(int(key)) for key in keys]
    seen = world.reset(generators, n).reshape(seeds, n, -1)
    noise = np.stack([policy.noise(generator, (horizon, n)) for generator in generators], axis=1)
    kind, shape = (np.int64, ()) if policy.discrete else (np.float64, (policy.n_actions,))
    observations = np.zeros((seeds, n, horizon, policy.n_observations))
    actions = np.zeros((seeds, n, horizon, *shape), kind)
    rewards, lengths = np.zeros((seeds, n, horizon)), np.zeros((seeds, n), np.int64)
    live = np.repeat(finite[:, None], n, axis=1)
    for t in range(horizon):
        if not live.any():
            break
        with np.errstate(over="ignore", invalid="ignore"):  # of parameters about to diverge
            chosen = policy.sample(theta, seen, noise[t])
        observations[live, t], actions[live, t] = seen[live], chosen[live]
        lengths += live
        after, gained, over = world.step(chosen.reshape(seeds * n, *shape), live.ravel())
        rewards[live, t] = gained.reshape(seeds, n)[live]
        seen, live = after.reshape(seen.shape), live & ~over.reshape(seeds, n)
    rewards[~finite] = np.nan
    return Episodes(observations, actions, rewards, lengths)
