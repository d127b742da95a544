"""Gymnasium in and out: toy-text environments as finite MDPs, finite MDPs as environments."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from scipy import sparse

from pgtheory.mdp import validate
from pgtheory.mdp.finite import FiniteMDP
from pgtheory.mdp.instances.registry import make

DENSE_UP_TO = 200  # states of a converted environment


def from_gymnasium(
    env: "gymnasium.Env | str", *, discount: float = 0.99, horizon: int | None = None, **options: Any
) -> FiniteMDP:
    """The exact MDP behind a tabular Gymnasium environment such as FrozenLake, CliffWalking or Taxi.

    Parameters
    ----------
    env : gymnasium.Env or str
        An environment that publishes its table ``P[s][a] = [(probability, next state, reward, done), ...]``,
        or an id, made with ``options``.
    discount : float
        Gymnasium's toy-text tasks are undiscounted; an exact infinite-horizon treatment needs a discount
        below 1, or a ``horizon``.

    Returns
    -------
    FiniteMDP
        States that every reachable transition enters with ``done`` are terminal. Where ``done`` depends on
        how a state is entered, one terminal state is appended and those transitions lead there.

    Raises
    ------
    TypeError, ValueError
        If the environment publishes no table or its spaces are not discrete.
    """
    if isinstance(env, str):
        env = gymnasium.make(env, **options)
    elif options:
        raise TypeError(f"options {sorted(options)} are for environments made from an id, got an environment")
    validate.instance_of("env", env, gymnasium.Env)
    base = env.unwrapped
    table = getattr(base, "P", None)
    states, actions = env.observation_space, env.action_space
    if (
        not isinstance(table, dict)
        or not isinstance(states, spaces.Discrete)
        or not isinstance(actions, spaces.Discrete)
    ):
        raise ValueError(f"env must publish a transition table P[s][a] over discrete states, {env} does not")
    n, k = int(states.n), int(actions.n)
    s, a, p, t, r, done = _columns(table, n, k)
    start = validate.distribution(
        "env's initial_state_distrib", getattr(base, "initial_state_distrib", None), n
    )

    live = _reachable(s, t, done, start)[s]
    ends = np.zeros(n, bool)
    ends[t[live & done]] = True
    also_entered = np.zeros(n, bool)
    also_entered[t[live & ~done]] = True
    mixed = ends & (also_entered | (start > 0))
    size = n + bool(mixed.any())
    ends = np.append(ends & ~mixed, np.ones(size - n, bool))
    start = np.append(start, np.zeros(size - n))
    t = np.where(done & np.append(mixed, False)[t], n, t)

    keep = ~ends[s]
    rows = (s * k + a)[keep]
    P = sparse.csr_array((p[keep], (rows, t[keep])), shape=(size * k, size))
    weighted = sparse.csr_array(((p * r)[keep], (rows, t[keep])), shape=P.shape)
    chance = P.copy()
    chance.data = 1.0 / np.where(chance.data > 0, chance.data, np.inf)
    mdp = FiniteMDP(
        P,
        weighted.multiply(chance).tocsr(),
        discount,
        start,
        terminal=ends,
        horizon=horizon,
        name=_name_of(env),
    )
    if size > DENSE_UP_TO:
        return mdp
    rewards = mdp.transition_rewards.toarray().reshape(size, k, size)
    return mdp.to_dense().replace(rewards=rewards)


class FiniteMDPEnv(gymnasium.Env):
    """A finite MDP as a standard Gymnasium environment.

    Observations are states, actions are actions. Rewards are those of the transition where the MDP has them,
    the expected reward r(s, a) otherwise. Episodes terminate in terminal states and are truncated at the
    MDP's horizon. Where some actions are forbidden, ``info["action_mask"]`` says which are permitted.

    Parameters
    ----------
    mdp : FiniteMDP or str
        An MDP, or the name of an instance, built with ``parameters``.
    render_mode : {None, "ansi"}
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012 - Gymnasium's own convention

    def __init__(self, mdp: FiniteMDP | str, render_mode: str | None = None, **parameters: Any) -> None:
        if render_mode not in (None, "ansi"):
            raise ValueError(f"render_mode must be None or 'ansi', got {render_mode!r}")
        if isinstance(mdp, str):
            mdp = make(mdp, **parameters)
        elif parameters:
            raise TypeError(f"parameters {sorted(parameters)} are for named instances, got an MDP")
        validate.instance_of("mdp", mdp, FiniteMDP)
        self.mdp, self.render_mode = mdp, render_mode
        self.observation_space = spaces.Discrete(mdp.n_states)
        self.action_space = spaces.Discrete(mdp.n_actions)
        self._start = np.cumsum(mdp.start)
        self._state, self._time = -1, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """A state from the start distribution; ``options={"state": s}`` starts in state s."""
        super().reset(seed=seed)
        asked = (options or {}).get("state")
        if asked is not None and asked not in self.observation_space:
            raise ValueError(f"options['state'] must be a state 0..{self.mdp.n_states - 1}, got {asked!r}")
        self._state = self._draw(self._start) if asked is None else int(asked)
        self._time = 0
        return self._state, self._info()

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """One transition; a forbidden action is refused."""
        mdp, s = self.mdp, self._state
        if s < 0:
            raise gymnasium.error.ResetNeeded("call reset before step")
        if action not in self.action_space or not mdp.actions[s, action]:
            raise ValueError(
                f"action must be permitted in state {s} (see info['action_mask']), got {action!r}"
            )
        row = s * mdp.n_actions + int(action)
        per_step = mdp.transition_rewards
        if mdp.is_sparse:
            lo, hi = mdp.pairs.indptr[row : row + 2]
            t = int(mdp.pairs.indices[lo + self._draw(np.cumsum(mdp.pairs.data[lo:hi]))])
            reward = mdp.r[s, action] if per_step is None else per_step[row, t]
        else:
            t = self._draw(np.cumsum(mdp.pairs[row]))
            reward = mdp.r[s, action] if per_step is None else per_step[s, action, t]
        self._state, self._time = t, self._time + 1
        truncated = mdp.horizon is not None and self._time >= mdp.horizon
        return t, float(reward), bool(mdp.terminal[t]), truncated, self._info()

    def render(self) -> str | None:
        """One line of text: the time, the state, and the grid where there is one."""
        if self.render_mode != "ansi":
            return None
        line = f"t={self._time} state={self._state}\n"
        if self.mdp.grid is None:
            return line
        here = np.where(self.mdp.grid == self._state, "@", np.where(self.mdp.grid < 0, "#", "."))
        return line + "\n".join("".join(row) for row in here) + "\n"

    def _draw(self, cumulative: np.ndarray) -> int:
        u = self.np_random.random() * cumulative[-1]
        return int(np.searchsorted(cumulative, u, side="right"))

    def _info(self) -> dict[str, Any]:
        if self.mdp.actions.all():
            return {}
        return {"action_mask": self.mdp.actions[self._state].astype(np.int8)}


def _columns(table: dict[int, Any], n: int, k: int) -> tuple[np.ndarray, ...]:
    """State, action, probability, successor, reward and done of every listed transition."""
    try:
        steps = [(s, a, p, t, r, done) for s in range(n) for a in range(k) for p, t, r, done in table[s][a]]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"env must publish P[s][a] = [(probability, next state, reward, done), ...] for each of its {n} "
            f"states and {k} actions, got a table that does not ({error!r})"
        ) from None
    s, a, p, t, r, done = (np.array(column) for column in zip(*steps))
    successors = validate.indices("next states of env", t, (None,), "[transitions]", 0, n - 1)
    return s, a, p, successors, r, done.astype(bool)


def _reachable(s: np.ndarray, t: np.ndarray, done: np.ndarray, start: np.ndarray) -> np.ndarray:
    """States [S] that an episode can be in while it goes on."""
    seen = start > 0
    while True:
        grown = seen.copy()
        grown[t[seen[s] & ~done]] = True
        if (grown == seen).all():
            return seen
        seen = grown


def _name_of(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__
