"""Episodes played through an access model: to their end for the return, or with everything that was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.access import Observations, Online
from pgtheory.agnostic.policy_class import PolicyClass


@dataclass(frozen=True, eq=False)
class Episodes:
    """n episodes from layer index ``first`` to the end; L = H - first.

    Attributes
    ----------
    first : int
    views, actions : int array [n, L]
    rewards : array [n, L]
    """

    first: int
    views: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray

    def __len__(self) -> int:
        return len(self.views)

    @property
    def returns(self) -> np.ndarray:
        """Sums of rewards [n]."""
        return self.rewards.sum(1)


def play(
    access: Online, observations: Observations, choose: Callable[[int, np.ndarray], np.ndarray]
) -> Episodes:
    """Go on to the end with actions ``choose(layer, views)``, and keep everything."""
    first, views, actions, rewards = observations.layer, [], [], []
    here: Observations | None = observations
    while here is not None:
        a = choose(here.layer, here.views)
        views.append(here.views)
        actions.append(a)
        reward, here = access.step(here, a)
        rewards.append(reward)
    return Episodes(first, np.stack(views, 1), np.stack(actions, 1), np.stack(rewards, 1))


def follow(
    access: Online, observations: Observations, policies: PolicyClass, which: np.ndarray
) -> np.ndarray:
    """Returns [n] from here to the end, episode i under policy ``which[i]``."""
    total = np.zeros(len(observations))
    here: Observations | None = observations
    while here is not None:
        reward, here = access.step(here, policies.actions[here.layer][which, here.views])
        total += reward
    return total
