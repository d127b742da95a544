"""What stands behind every access model: it draws, remembers which observation was what, and counts.

No learner holds it: it knows the latent states.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pgtheory.agnostic.observed import ObservedMDP
from pgtheory.mdp import validate

FIRST_RECORDS = 1024


class AccessError(RuntimeError):
    """An algorithm asked for what its access model forbids."""


class BudgetExhausted(RuntimeError):
    """A call would have gone beyond the budget; nothing was drawn for it."""


@dataclass(frozen=True)
class Spent:
    """What was asked for so far.

    Attributes
    ----------
    starts, resets, restarts : int
        Episodes from the start distribution, from a reset distribution, and from an observation seen before.
    steps : int
        Transitions; for a generative model, its calls.
    steps_by_layer : tuple of H int
        Of each layer.
    """

    starts: int
    resets: int
    restarts: int
    steps_by_layer: tuple[int, ...]

    @property
    def episodes(self) -> int:
        """All of them, wherever they began."""
        return self.starts + self.resets + self.restarts

    @property
    def steps(self) -> int:
        """Those of all layers."""
        return sum(self.steps_by_layer)


@dataclass(frozen=True, eq=False)
class Observations:
    """A batch of n observations of one layer: policies may be applied to them, and they may be compared.

    Attributes
    ----------
    layer : int
        Its index, 0 to H-1.
    views : int array [n]
        What policies act on.
    labels : int array [n]
        Equal exactly when observations are. A fresh label is a random number that never comes again.
    """

    layer: int
    views: np.ndarray
    labels: np.ndarray
    _visits: np.ndarray = field(repr=False)
    _source: Simulator = field(repr=False)

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, which: np.ndarray | slice) -> Observations:
        """Some of them, by a slice, a mask or positions (which may repeat)."""
        return replace(self, views=self.views[which], labels=self.labels[which], _visits=self._visits[which])


class Simulator:
    """Draws from an observed MDP for any number of episodes side by side, within a budget.

    Every visit has a number; ``open`` are those whose episode stands there and can go on.
    """

    def __init__(
        self, env: ObservedMDP, rng: np.random.Generator, episodes: int | None, steps: int | None
    ) -> None:
        validate.instance_of("env", env, ObservedMDP)
        validate.instance_of("rng", rng, np.random.Generator)
        self.env, self.rng, self.names = env, rng, rng.spawn(1)[0]
        self.limit = {
            name: None if limit is None else validate.positive_integer(name, limit)
            for name, limit in (("episodes", episodes), ("steps", steps))
        }
        mdp = env.mdp
        self.after = [_cumulative(P) for P in mdp.transitions]
        self.show = [_cumulative(e) for e in env.emissions]
        self.first = _cumulative(mdp.start)
        self.reset = [_cumulative(x) for x in env.resets or ()]
        self.visits = 0
        self.latent = np.empty(FIRST_RECORDS, np.int32)
        self.layer = np.empty(FIRST_RECORDS, np.int32)
        self.open = np.empty(FIRST_RECORDS, bool)
        self.mark = np.empty(FIRST_RECORDS, np.int64)
        self.begun = {"starts": 0, "resets": 0, "restarts": 0}
        self.steps_by_layer = [0] * mdp.horizon

    @property
    def spent(self) -> Spent:
        return Spent(**self.begun, steps_by_layer=tuple(self.steps_by_layer))

    def left(self, what: str) -> int | None:
        """Episodes or steps that the budget still allows; None without a limit."""
        limit = self.limit[what]
        return None if limit is None else limit - getattr(self.spent, what)

    def begin(self, kind: str, n: int) -> None:
        """Count n new episodes, or refuse them."""
        self._afford("episodes", n)
        self.begun[kind] += n

    def draw(self, layer: int, cumulative: np.ndarray, n: int) -> Observations:
        """Observations of n latent states drawn from one distribution."""
        return self._emit(layer, np.searchsorted(cumulative, self.rng.random(n), side="right"))

    def every_state(self, layer: int) -> Observations:
        """All that can be observed in a layer without fresh labels; no episode stands there."""
        latent, views = np.nonzero(self.env.emissions[layer])
        visits = self._register(layer, latent)
        self.open[visits] = False
        labels = latent * self.env.views[layer] + views
        return Observations(layer, views, labels, visits, self)

    def again(self, observations: Observations) -> Observations:
        """The same observations, each with an episode that stands there."""
        before = self.check(observations)
        return replace(observations, _visits=self._register(observations.layer, self.latent[before]))

    def step(self, observations: Observations, actions: np.ndarray) -> tuple[np.ndarray, Observations | None]:
        """Rewards [n] and next observations (None after the last layer); the episodes leave where they stood."""
        h, visits, mdp = observations.layer, self.check(observations), self.env.mdp
        n = len(visits)
        actions = self._actions(actions, n)
        self.mark[visits] = np.arange(n)
        twice = self.mark[visits] != np.arange(n)
        left = ~self.open[visits] | twice
        if left.any():
            raise AccessError(
                f"{int(left.sum())} of {n} observations were left already: an episode goes on from where it stands, "
                "and only access models with restart(observations) can return to what was seen before"
            )
        self._afford("steps", n)
        self.steps_by_layer[h] += n
        self.open[visits] = False
        s = self.latent[visits]
        rewards = mdp.rewards[h][s, actions]
        if self.env.bernoulli:
            rewards = (self.rng.random(n) < rewards).astype(np.float64)
        if h == mdp.horizon - 1:
            return rewards, None
        following = (self.rng.random(n)[:, None] >= self.after[h][s, actions]).sum(-1)
        return rewards, self._emit(h + 1, following)

    def check(self, observations: Observations) -> np.ndarray:
        """Numbers of the visits, for observations that were handed out here."""
        validate.instance_of("observations", observations, Observations)
        visits = observations._visits
        if observations._source is not self or (self.layer[visits] != observations.layer).any():
            raise AccessError(
                "these observations were not handed out by this access object: a state that was never seen cannot be "
                "returned to"
            )
        return visits

    def _emit(self, layer: int, latent: np.ndarray) -> Observations:
        n, show, fresh = len(latent), self.show[layer], self.env.fresh[layer]
        views = np.zeros(n, np.int64)
        if show.shape[1] > 1:
            views = (self.rng.random(n)[:, None] >= show[latent]).sum(-1)
        labels = np.where(fresh[views], self._fresh_labels(n), latent * show.shape[1] + views)
        return Observations(layer, views, labels, self._register(layer, latent), self)

    def _fresh_labels(self, n: int) -> np.ndarray:
        """Negative numbers, so that none is the label of a state."""
        return -self.names.integers(1, 2**62, n)

    def _register(self, layer: int, latent: np.ndarray) -> np.ndarray:
        visits = np.arange(self.visits, self.visits + len(latent))
        self.visits += len(latent)
        while self.visits > len(self.latent):
            for name in ("latent", "layer", "open", "mark"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.empty_like(old)]))
        self.latent[visits], self.layer[visits], self.open[visits] = latent, layer, True
        return visits

    def _actions(self, actions: np.ndarray, n: int) -> np.ndarray:
        actions = np.asarray(actions)
        if actions.shape not in ((), (n,)) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be one integer or [n] = [{n}] of them, got {actions.dtype} {list(actions.shape)}"
            )
        if actions.size and not 0 <= actions.min() <= actions.max() < self.env.mdp.n_actions:
            raise ValueError(
                f"actions must be in 0..{self.env.mdp.n_actions - 1}, got {actions.min()}..{actions.max()}"
            )
        return np.broadcast_to(actions, n)

    def _afford(self, what: str, n: int) -> None:
        left = self.left(what)
        if left is not None and n > left:
            raise BudgetExhausted(f"{n} more {what} asked for, {left} of {self.limit[what]} are left")


def _cumulative(p: np.ndarray) -> np.ndarray:
    """Cumulative probabilities along the last axis; 2 from the last possible entry on, so that rounding is harmless."""
    later = np.zeros(p.shape, bool)
    later[..., :-1] = np.logical_or.accumulate(p[..., :0:-1] > 0, -1)[..., ::-1]
    return np.where(later, p.cumsum(-1), 2.0)
