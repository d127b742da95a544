r"""What hybrid learning is about: an MDP to interact with from a reset, and a distribution of offline pairs.

The paper resets **pairs**, :math:`(s_0,a_0)\sim\mu_0`, so its occupancy and value are

.. math::
   d^\pi=(1-\gamma)\Big(\mu_0+\sum_{t\ge1}\gamma^t\Pr^\pi(s_t{=}s,a_t{=}a)\Big),\qquad
   V^\pi=\mathbb E_{\mu_0}Q^\pi(s_0,a_0).

A reset over states alone is :math:`\mu_0(s,a)=\rho(s)\pi(a|s)`: it moves with the policy and covers less.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pgtheory.mdp import FiniteMDP, validate
from pgtheory.mdp.evaluation import check_policy, evaluate_stationary


@dataclass(frozen=True, eq=False)
class Draws:
    """Independent draws of a pair, its reward and what followed: offline tuples, or on-policy ones.

    Attributes
    ----------
    s, a, s_next : int array [m]
    r : array [m]
    returns : array [m], optional
        Monte-Carlo returns y from the pair on, where the policy went on acting.
    """

    s: np.ndarray
    a: np.ndarray
    r: np.ndarray
    s_next: np.ndarray
    returns: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.s)


@dataclass(frozen=True, eq=False)
class Setting:
    r"""An MDP with an offline distribution :math:`\nu` and a reset.

    Parameters
    ----------
    mdp : FiniteMDP
        With an infinite horizon.
    nu : array [S, A]
        Distribution of the offline pairs; rewards and successors are the MDP's.
    reset : array [S, A] or [S], optional
        :math:`\mu_0` over pairs, or over states alone, where the policy picks the first action. The MDP's start
        distribution over states by default.

    Raises
    ------
    TypeError, ValueError
        If a distribution is none, gives mass to a forbidden pair, or the MDP has a horizon.
    """

    mdp: FiniteMDP
    nu: Any
    reset: Any = None

    def __post_init__(self) -> None:
        validate.instance_of("mdp", self.mdp, FiniteMDP)
        if self.mdp.horizon is not None:
            raise ValueError(f"mdp must have an infinite horizon, got horizon {self.mdp.horizon}")
        object.__setattr__(self, "nu", self._pairs("nu", self.nu))
        reset = self.mdp.start if self.reset is None else validate.numbers("reset", self.reset)
        if reset.ndim == 1:
            object.__setattr__(self, "reset", validate.distribution("reset", reset, self.mdp.n_states))
        else:
            object.__setattr__(self, "reset", self._pairs("reset", reset))

    @property
    def resets_pairs(self) -> bool:
        """Whether the reset names the first action too, as the paper's does."""
        return self.reset.ndim == 2

    # -- exact ----------------------------------------------------------------------------------------------

    def first_pairs(self, pi: np.ndarray) -> np.ndarray:
        r"""Distribution [S, A] of :math:`(s_0,a_0)`: :math:`\mu_0`, or :math:`\rho\pi` where states are reset."""
        return self.reset if self.resets_pairs else self.reset[:, None] * pi

    def occupancy(self, pi: Any) -> np.ndarray:
        r""":math:`d^\pi` [S, A]; sums to one, what has ended included (mass on terminal states)."""
        policy = evaluate_stationary(self.mdp, pi)
        first, gamma = self.first_pairs(policy.pi), self.mdp.discount
        later = policy.resolvent.solve_transposed((gamma * self.mdp.push(first))[None, None])[0, 0]
        return (1 - gamma) * (first + later[:, None] * policy.pi)

    def action_values(self, pi: Any) -> np.ndarray:
        r""":math:`Q^\pi` [S, A]; forbidden actions hold the state's value."""
        return evaluate_stationary(self.mdp, pi).Q

    def value(self, pi: Any) -> float:
        r""":math:`V^\pi=\mathbb E_{\mu_0}Q^\pi`: constant in what the policy does first, if pairs are reset."""
        policy = evaluate_stationary(self.mdp, pi)
        return float((self.first_pairs(policy.pi) * policy.Q).sum())

    def backup(self, pi: np.ndarray, f: np.ndarray) -> np.ndarray:
        r""":math:`\mathcal T^\pi f=r+\gamma\mathbb E f(s',\pi(s'))` [S, A]; f is 0 where the episode has ended."""
        return self.mdp.r + self.mdp.discount * self.mdp.expect((pi * f).sum(-1) * ~self.mdp.terminal)

    # -- sampled --------------------------------------------------------------------------------------------

    def draw_offline(self, m: int, rng: np.random.Generator) -> Draws:
        r"""m offline tuples: :math:`(s,a)\sim\nu`, reward and successor from the MDP."""
        s, a = self._draw_pairs(self.nu, validate.positive_integer("m", m), rng)
        return Draws(s, a, *self._step(s, a, rng))

    def draw_on_policy(self, pi: Any, m: int, rng: np.random.Generator) -> Draws:
        r"""m on-policy tuples with unbiased returns: :math:`(s,a)\sim d^\pi`, :math:`\mathbb E\,y=Q^\pi(s,a)`.

        Follow the policy for h steps, :math:`\Pr(h)=(1-\gamma)\gamma^h`, keep the pair, and go on, stopping after
        each step with probability :math:`1-\gamma`; y is the undiscounted sum from the pair on.
        """
        pi = check_policy(self.mdp, pi)
        m, gamma = validate.positive_integer("m", m), self.mdp.discount
        s, a = self._draw_pairs(self.first_pairs(pi), m, rng)
        left = rng.geometric(1 - gamma, m) - 1
        while (going := left > 0).any():
            s[going] = self._step(s[going], a[going], rng)[1]
            a[going] = _draw_rows(pi.cumsum(-1)[s[going]], rng)
            left[going] -= 1
        r, s_next = self._step(s, a, rng)
        y, now = r.copy(), s_next.copy()
        alive = np.flatnonzero(rng.random(m) < gamma)
        while len(alive):
            act = _draw_rows(pi.cumsum(-1)[now[alive]], rng)
            more, now[alive] = self._step(now[alive], act, rng)
            y[alive] += more
            alive = alive[rng.random(len(alive)) < gamma]
        return Draws(s, a, r, s_next, y)

    @cached_property
    def _cumulative(self) -> np.ndarray:
        pairs = self.mdp.pairs
        return (pairs.toarray() if self.mdp.is_sparse else pairs).cumsum(-1)

    def _draw_pairs(self, law: np.ndarray, m: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        s, a = np.divmod(rng.choice(law.size, m, p=law.ravel() / law.sum()), self.mdp.n_actions)
        return s, a

    def _step(self, s: np.ndarray, a: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        row = s * self.mdp.n_actions + a
        after, per_step = _draw_rows(self._cumulative[row], rng), self.mdp.transition_rewards
        if per_step is None:
            return self.mdp.r[s, a], after
        gain = per_step[row, after] if self.mdp.is_sparse else per_step[s, a, after]
        return np.asarray(gain, dtype=float), after

    def _pairs(self, name: str, value: Any) -> np.ndarray:
        law = validate.real_array(name, value, self.mdp.r.shape, "[S, A]")
        flat = validate.distribution(name, law.ravel(), law.size).reshape(law.shape)
        if (flat * ~self.mdp.actions).any():
            s, a = np.argwhere(flat * ~self.mdp.actions)[0]
            raise ValueError(
                f"{name} must give forbidden pairs no mass, got {name}[{s}, {a}] = {flat[s, a]:g}"
            )
        return flat


def _draw_rows(cumulative: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One index a row of running sums [m, n]; never one that adds nothing to the sum."""
    u = rng.random(len(cumulative)) * cumulative[:, -1]
    return (u[:, None] >= cumulative).sum(-1)
