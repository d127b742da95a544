"""Access models, weakest to strongest: what a learner may ask of an unknown MDP, and what it has asked.

A learner receives one of these objects and a policy class, never the MDP. An access object has only the methods that
its model allows; every call is counted, and refused once the budget is spent. Many episodes go on side by side: all
methods take and give batches. "Local simulator" inherits from "online", "generative" from "local simulator", "hybrid
resets" from "local simulator" and "μ-reset": a stronger model can do all that a weaker one can.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.agnostic.simulator import AccessError, BudgetExhausted, Observations, Simulator, Spent
from pgtheory.mdp import validate

__all__ = [
    "AccessError",
    "BudgetExhausted",
    "Generative",
    "HybridResets",
    "LocalSimulator",
    "MuReset",
    "Observations",
    "Online",
    "Spent",
]


class Online:
    """Episodes from the start distribution, played to the end or abandoned; there is no way back.

    Parameters
    ----------
    env : ObservedMDP
        The MDP, out of the learner's sight from here on.
    rng : numpy.random.Generator
        What the MDP draws with; the learner brings a generator of its own.
    episodes, steps : int, optional
        The budget: at most so many episodes and transitions. Unlimited by default.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit, a budget of zero among them.
    """

    __slots__ = ("_simulator",)

    def __init__(
        self,
        env: ObservedMDP,
        rng: np.random.Generator,
        *,
        episodes: int | None = None,
        steps: int | None = None,
    ) -> None:
        self._simulator = Simulator(env, rng, episodes, steps)

    def __getattr__(self, name: str) -> NoReturn:
        offered = ", ".join(n for n in dir(type(self)) if not n.startswith("_"))
        raise AttributeError(
            f"{name!r} is not for a learner to see: {type(self).__name__} access offers {offered}"
        )

    @property
    def horizon(self) -> int:
        """H."""
        return self._simulator.env.mdp.horizon

    @property
    def n_actions(self) -> int:
        """A."""
        return self._simulator.env.mdp.n_actions

    @property
    def views(self) -> tuple[int, ...]:
        """How many views each layer has."""
        return self._simulator.env.views

    @property
    def spent(self) -> Spent:
        """Everything asked for so far."""
        return self._simulator.spent

    @property
    def episodes_left(self) -> int | None:
        """What the budget still allows; None without a limit."""
        return self._simulator.left("episodes")

    @property
    def steps_left(self) -> int | None:
        """What the budget still allows; None without a limit."""
        return self._simulator.left("steps")

    def start(self, n: int = 1) -> Observations:
        """First observations of n new episodes.

        Raises
        ------
        BudgetExhausted
            If fewer episodes are left.
        """
        n = validate.positive_integer("n", n)
        self._simulator.begin("starts", n)
        return self._simulator.draw(0, self._simulator.first, n)

    def step(self, observations: Observations, actions: Any) -> tuple[np.ndarray, Observations | None]:
        """Act where n episodes stand: rewards [n] and next observations, None after the last layer.

        Raises
        ------
        AccessError
            If an episode has left its observation already, or the observation came from elsewhere.
        BudgetExhausted
            If fewer steps are left.
        """
        return self._simulator.step(observations, actions)


class LocalSimulator(Online):
    """Online, and back to any observation that was seen before."""

    __slots__ = ()

    def restart(self, observations: Observations) -> Observations:
        """New episodes that stand at observations seen before; each counts.

        Raises
        ------
        AccessError
            For observations that this object never handed out.
        BudgetExhausted
            If fewer episodes are left.
        """
        self._simulator.check(observations)
        self._simulator.begin("restarts", len(observations))
        return self._simulator.again(observations)


class Generative(LocalSimulator):
    """Any state that can be named, seen before or not: one call is a restart and a step."""

    __slots__ = ()

    def states(self, layer: int) -> Observations:
        """One observation of every state of a layer, for ``restart``; no episode stands there yet.

        Raises
        ------
        AccessError
            Where labels are fresh: nobody can name an observation out of 2^62 that was never shown.
        """
        simulator = self._simulator
        layer = validate.index("layer", layer, self.horizon)
        if simulator.env.fresh[layer].any():
            raise AccessError(
                f"the observations of layer index {layer} carry fresh labels: those never shown cannot be named"
            )
        return simulator.every_state(layer)


class MuReset(Online):
    """Online, and episodes from the reset distribution of any layer; each draw is new, there is no way back to it.

    Raises
    ------
    ValueError
        For an MDP without reset distributions.
    """

    __slots__ = ()

    def __init__(self, env: ObservedMDP, rng: np.random.Generator, **budget: int | None) -> None:
        super().__init__(env, rng, **budget)
        if env.resets is None:
            raise ValueError("env must have reset distributions for access with resets, got resets=None")

    def reset(self, layer: int, n: int = 1) -> Observations:
        """Observations of n new episodes that begin in this layer (index 0 to H-1).

        Raises
        ------
        BudgetExhausted
            If fewer episodes are left.
        """
        layer, n = validate.index("layer", layer, self.horizon), validate.positive_integer("n", n)
        self._simulator.begin("resets", n)
        return self._simulator.draw(layer, self._simulator.reset[layer], n)


class HybridResets(MuReset, LocalSimulator):
    """Resets and a local simulator: a draw can be returned to as often as one likes."""

    __slots__ = ()
