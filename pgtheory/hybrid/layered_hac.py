r"""Hybrid actor-critic with a horizon: a critic and a softmax policy for every step, all seeds at once.

One backward sweep replaces the iterations of HPE (arXiv:2311.08384, Algorithm 4): at step h both terms are regressed,

.. math::
   f_h=\frac{\hat\nu_h\,(\hat r+\gamma\hat P f_{h+1}(\cdot,\pi_{h+1}))+\lambda\,\hat d_h\,\hat y}
   {\hat\nu_h+\lambda\hat d_h},\qquad f_H=0,

with what the data say about each pair; f is 0 on a pair that neither set has. Then
:math:`\pi_h\propto\pi_h\exp(\eta f_h)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pgtheory.hybrid.actor_critic import softmax
from pgtheory.hybrid.layers import Counts, Layers
from pgtheory.mdp import validate


@dataclass(frozen=True, eq=False)
class LayeredHistory:
    """A run of all seeds.

    Attributes
    ----------
    J : array [iterations + 1, seeds]
        Exact expected return before the first update and after each.
    pi : array [seeds, H, n, A]
        The last policies.
    steps : array [iterations + 1]
        Environment steps taken online so far, by each seed.
    """

    J: np.ndarray
    pi: np.ndarray
    steps: np.ndarray

    def steps_to(self, J: float) -> np.ndarray:
        """Online steps [seeds] after which the return first exceeds J; infinite where it never did."""
        above = self.J > J
        return np.where(above.any(0), self.steps[above.argmax(0)], np.inf)


def sweep(
    pi: np.ndarray, offline: Counts | None, online: Counts | None, lam: float, discount: float = 1.0
) -> np.ndarray:
    r"""Fitted evaluation backwards over the steps: critics [seeds, H, n, A] of policies of that shape.

    Parameters
    ----------
    pi : array [seeds, H, n, A]
    offline, online : Counts or None
        The bootstrapped and the Monte-Carlo term; one may be missing.
    lam : float
        :math:`\lambda\in[0,\infty]`.
    discount : float
    """
    f = np.zeros(pi.shape)
    off = offline.weights if offline is not None and lam < math.inf else f
    on = f if online is None else online.weights * (lam if lam < math.inf else 1.0)
    weights = np.where(off + on > 0, off + on, 1.0)
    V = np.zeros(pi.shape[:1] + pi.shape[2:3])
    for h in range(pi.shape[1] - 1, -1, -1):
        total = np.zeros(pi[:, h].shape)
        if offline is not None:
            targets = offline.r[:, h].copy()
            if h < pi.shape[1] - 1:
                targets += discount * np.einsum("biaj,bj->bia", offline.P[:, h], V)
            total += off[:, h] * targets
        if online is not None:
            total += on[:, h] * online.returns[:, h]
        f[:, h] = total / weights[:, h]
        V = (pi[:, h] * f[:, h]).sum(-1)
    return f


@dataclass(frozen=True)
class LayeredHAC:
    r"""The method and its constants.

    Parameters
    ----------
    lam : float
        :math:`\lambda`: 1 is HAC, 0 an actor on an offline critic, infinity the on-policy natural gradient.
    eta : float
        Step size of the softmax policies.
    steps : int
        Environment steps an iteration; as many whole episodes as they hold.

    Raises
    ------
    TypeError, ValueError
        If a constant is out of range.
    """

    lam: float = 1.0
    eta: float = 2.0
    steps: int = 1000

    def __post_init__(self) -> None:
        if not validate.real("lam", self.lam) >= 0:
            raise ValueError(f"lam must be at least 0, the weight of the on-policy term, got {self.lam}")
        validate.positive("eta", self.eta)
        validate.positive_integer("steps", self.steps)

    def run(
        self,
        layers: Layers,
        offline: Counts | None,
        seeds: Iterable[int],
        *,
        iterations: int,
        until: float = math.inf,
    ) -> LayeredHistory:
        """Run all seeds from the uniform policy; a seed's run is the same bits whoever runs beside it.

        Parameters
        ----------
        layers : Layers
        offline : Counts, or None without offline data
            Of as many seeds.
        seeds : iterable of int
        iterations : int
            At most.
        until : float
            Stop once the exact return of every seed has exceeded this.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind, the offline data are of other seeds or steps, or there is nothing
            to learn from.
        """
        validate.instance_of("layers", layers, Layers)
        rngs = [np.random.default_rng([seed, 1]) for seed in seeds]
        shape = (len(rngs), *layers.shape)
        self._check(offline, shape)
        episodes = max(1, self.steps // shape[1])
        logits = np.zeros(shape)
        pi, taken = softmax(logits), 0
        J, steps = [layers.expected_return(pi)], [0]
        reached = until < J[0]
        for _ in range(validate.positive_integer("iterations", iterations)):
            online = Counts.of(layers.draw(pi, episodes, rngs), layers)
            logits += self.eta * sweep(pi, offline, online, self.lam, layers.discount)
            pi, taken = softmax(logits), taken + episodes * shape[1]
            J.append(layers.expected_return(pi))
            steps.append(taken)
            reached |= until < J[-1]
            if reached.all():
                break
        return LayeredHistory(np.stack(J), pi, np.array(steps))

    def _check(self, offline: Counts | None, shape: tuple[int, ...]) -> None:
        if not shape[0]:
            raise ValueError("seeds must hold at least one seed, got none")
        if offline is None:
            if self.lam == 0:
                raise ValueError("offline must hold data where lam is 0: there is no other term, got None")
            return
        validate.instance_of("offline", offline, Counts)
        if offline.weights.shape != shape:
            raise ValueError(
                f"offline must have data of [seeds, H, n, A] = {list(shape)}, got {list(offline.weights.shape)}"
            )
