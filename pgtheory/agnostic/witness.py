"""Deterministic MDPs, and which state–action pairs a policy class reaches in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgtheory.agnostic.layered_mdp import LayeredMDP
from pgtheory.agnostic.policy_class import PolicyClass
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class DeterministicMDP:
    """Deterministic dynamics in layers, without rewards.

    Attributes
    ----------
    start : int
        The first state.
    successors : tuple of H-1 integer arrays [S_h, A]
        The state of the next layer that each pair leads to.
    sizes : tuple of int
        States of each layer.
    n_actions : int
    """

    start: int
    successors: tuple[np.ndarray, ...]
    sizes: tuple[int, ...]
    n_actions: int

    def reached(self, policies: PolicyClass) -> list[dict[tuple[int, int], int]]:
        """For each layer, the pairs (s, a) on some policy's path, each with the mask of the policies that reach it."""
        validate.instance_of("policies", policies, PolicyClass)
        if (policies.sizes[: len(self.sizes)], policies.n_actions) != (self.sizes, self.n_actions):
            raise ValueError(
                f"policies must be defined on layers of {list(self.sizes)} states with {self.n_actions} actions, "
                f"got {list(policies.sizes)} and {policies.n_actions}"
            )
        here = {self.start: policies.everyone}
        layers = []
        for h in range(len(self.sizes)):
            pairs = {
                (s, a): present & mask
                for s, present in sorted(here.items())
                for a, mask in enumerate(policies.masks[h][s])
                if present & mask
            }
            layers.append(pairs)
            here = {}
            if h < len(self.successors):
                for (s, a), present in pairs.items():
                    after = int(self.successors[h][s, a])
                    here[after] = here.get(after, 0) | present
        return layers

    def with_rewards(self, rewards: list[np.ndarray]) -> LayeredMDP:
        """A layered MDP with these mean rewards, H arrays [S_h, A]."""
        steps = [np.eye(S)[after] for S, after in zip(self.sizes[1:], self.successors)]
        return LayeredMDP(np.eye(self.sizes[0])[self.start], steps, rewards, name="deterministic")
