"""Deterministic dynamics online: a state is returned to by playing again the actions that led there."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.agnostic.access import Observations, Online, Spent
from pgtheory.mdp import validate


class Replay:
    """A local simulator made of online episodes, for an MDP with one start state and deterministic transitions.

    Rewards may be random. A restart costs one episode and as many steps as the state is deep, all counted by the
    online access object beneath.

    Parameters
    ----------
    online : Online
        Of a tabular MDP: a replay is recognised by its labels.

    Raises
    ------
    TypeError
        For anything but an access object.
    """

    def __init__(self, online: Online) -> None:
        validate.instance_of("online", online, Online)
        self._online = online
        self._led = np.empty((1024, online.horizon), np.int16)  # actions that led to each visit

    @property
    def horizon(self) -> int:
        """H."""
        return self._online.horizon

    @property
    def n_actions(self) -> int:
        """A."""
        return self._online.n_actions

    @property
    def views(self) -> tuple[int, ...]:
        """How many views each layer has."""
        return self._online.views

    @property
    def spent(self) -> Spent:
        """Episodes and steps really played, replays included."""
        return self._online.spent

    def start(self, n: int = 1) -> Observations:
        """First observations of n new episodes."""
        here = self._online.start(n)
        self._remember(here, np.zeros((n, self.horizon), np.int16))
        return here

    def step(self, observations: Observations, actions: Any) -> tuple[np.ndarray, Observations | None]:
        """Act where episodes stand, as online."""
        led, h = self._led[observations._visits], observations.layer
        rewards, reached = self._online.step(observations, actions)
        if reached is not None:
            led[:, h] = actions
            self._remember(reached, led)
        return rewards, reached

    def restart(self, observations: Observations) -> Observations:
        """New episodes that are played up to these observations.

        Raises
        ------
        ValueError
            If the same actions led elsewhere: the MDP is not deterministic, or its labels are fresh.
        """
        led = self._led[observations._visits]
        here = self._online.start(len(observations))
        for h in range(observations.layer):
            _, after = self._online.step(here, led[:, h])
            assert after is not None  # h is not the last layer
            here = after
        astray = here.labels != observations.labels
        if astray.any():
            raise ValueError(
                "online must be access to deterministic transitions from one state that shows its label: "
                f"{int(astray.sum())} of {len(here)} replays ended elsewhere"
            )
        self._remember(here, led)
        return here

    def _remember(self, observations: Observations, led: np.ndarray) -> None:
        visits = observations._visits
        while visits.max() >= len(self._led):
            self._led = np.concatenate([self._led, np.empty_like(self._led)])
        self._led[visits] = led
