r"""RLPD (Ball et al. 2023, arXiv:2302.02948): soft actor-critic with every batch half offline, half online.

One actor and one pair of critics for all steps, layer norm in the critics; hyper-parameters as tuned for the lock of
arXiv:2311.08384. What that paper leaves open is general practice: two critics of which the lesser is the target, a
squashed Gaussian (here onto [0, 1], the lock's offline actions), a target entropy of −10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, log

import numpy as np
import torch
from torch import Tensor

from pgtheory.hybrid.baselines.soft_actor_critic import Actor, Critics
from pgtheory.hybrid.finite_horizon import History
from pgtheory.hybrid.lock import N_ACTIONS, ContinuousLock
from pgtheory.hybrid.offline import OfflineData
from pgtheory.mdp import validate

ENTROPY = -float(N_ACTIONS)


@dataclass(frozen=True, kw_only=True)
class RLPD:
    """Settings; the defaults are the paper's, widths apart, which it does not say.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the ReLU layers of actor and critics.
    discount, temperature : float
        The latter is where the entropy's weight starts.
    learning_rate, temperature_rate : float
    mixing, every : float, int
        Target critics move by this share every so many updates.
    batch : int
        Half of it offline.
    buffer : int
        Latest online transitions kept.
    parallel : int
        Episodes played side by side; as many updates follow each of their steps.
    """

    hidden: tuple[int, ...] = (64, 64)
    discount: float = 0.99
    temperature: float = 0.1
    learning_rate: float = 1e-3
    temperature_rate: float = 1e-4
    mixing: float = 0.01
    every: int = 2
    batch: int = 128
    buffer: int = 1_000_000
    parallel: int = 10

    def __post_init__(self) -> None:
        for name in ("every", "buffer", "parallel"):
            validate.positive_integer(name, getattr(self, name))
        validate.positive_integer("batch", self.batch, 2)
        validate.probability("discount", self.discount)
        validate.probability("mixing", self.mixing)
        for name in ("temperature", "learning_rate", "temperature_rate"):
            validate.positive(name, getattr(self, name))


@dataclass(eq=False)
class _Buffer:
    """The latest online transitions, by column."""

    capacity: int
    columns: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, *rows: np.ndarray) -> None:
        if not self.columns:
            self.columns = [np.empty((self.capacity, *row.shape[1:]), np.float32) for row in rows]
        at = (self.count + np.arange(len(rows[0]))) % self.capacity
        for column, row in zip(self.columns, rows):
            column[at] = row
        self.count += len(at)

    def draw(self, n: int, rng: np.random.Generator) -> list[np.ndarray]:
        pick = rng.integers(min(self.count, self.capacity), size=n)
        return [column[pick] for column in self.columns]


class _Learner:
    """Networks, their targets and optimisers, and one update of them all."""

    def __init__(self, settings: RLPD, size: int, rng: np.random.Generator) -> None:
        self.settings, self.updates, self.largest = settings, 0, 0.0
        generator_state = torch.get_rng_state()
        torch.manual_seed(int(rng.integers(2**31)))
        self.actor = Actor(size, settings.hidden)
        self.critics, self.targets = (Critics(size + N_ACTIONS, settings.hidden) for _ in range(2))
        torch.set_rng_state(generator_state)
        self.targets.load_state_dict(self.critics.state_dict())
        self.log_alpha = torch.tensor(log(settings.temperature), requires_grad=True)
        rate = settings.learning_rate
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), lr=rate, fused=True)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), lr=rate, fused=True)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=settings.temperature_rate, betas=(0.5, 0.999))

    def update(self, x: Tensor, a: Tensor, r: Tensor, after: Tensor, going: Tensor, noise: Tensor) -> None:
        """One step of critics, actor and temperature; noise is [2, n, 10]."""
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            b, log_prob = self.actor(after, noise[0])
            ahead = self.targets(torch.cat([after, b], -1)).amin(0) - alpha * log_prob
            y = r + self.settings.discount * going * ahead
        Q = self.critics(torch.cat([x, a], -1))
        self._descend(self.critic_adam, ((Q - y) ** 2).mean(1).sum())
        self.largest = float(Q.detach().abs().max())
        b, log_prob = self.actor(x, noise[1])
        value = self.critics(torch.cat([x, b], -1)).amin(0)
        self._descend(self.actor_adam, (alpha * log_prob - value).mean())
        self._descend(self.alpha_adam, -self.log_alpha.exp() * (log_prob.detach().mean() + ENTROPY))
        self.updates += 1
        if self.updates % self.settings.every == 0:
            with torch.no_grad():
                slow, fast = (
                    [*map(Tensor.detach, nets.parameters())] for nets in (self.targets, self.critics)
                )
                torch._foreach_lerp_(slow, fast, self.settings.mixing)

    def _descend(self, adam: torch.optim.Adam, loss: Tensor) -> None:
        adam.zero_grad()
        loss.backward()
        adam.step()


def train_rlpd(
    settings: RLPD,
    lock: ContinuousLock,
    data: OfflineData,
    *,
    steps: int,
    rng: np.random.Generator,
    batch: int = 1000,
    target: float = 0.5,
    window: int = 10,
) -> History:
    """Run RLPD on a lock; the ``History`` of success is kept and judged as by ``train``, a row every ``batch`` steps.

    A critic whose largest |Q| is not finite or exceeds 1000 ends the run.
    """
    validate.instance_of("lock", lock, ContinuousLock)
    data.check(lock)
    validate.positive_integer("steps", steps)
    learner, buffer, history = _Learner(settings, lock.size, rng), _Buffer(settings.buffer), History()
    n, done, outcomes = settings.parallel, 0, []
    rounds = ceil(batch / (n * lock.horizon))
    while done < steps:
        outcomes.append(_episode(settings, lock, data, learner, buffer, rng))
        done += n * lock.horizon
        if len(outcomes) < rounds:
            continue
        history.steps.append(done)
        history.success.append(float(np.mean(outcomes)))
        history.metrics.append({"critic": learner.largest, "temperature": learner.log_alpha.exp().item()})
        outcomes = []
        if history.diverges(learner.largest):
            break
        if history.solves(target, window):
            history.solved = done
            break
    return history


def _episode(
    settings: RLPD,
    lock: ContinuousLock,
    data: OfflineData,
    learner: _Learner,
    buffer: _Buffer,
    rng: np.random.Generator,
) -> float:
    """One round of parallel episodes with an update for every transition; their success rate."""
    n, half = settings.parallel, settings.batch // 2
    states = lock.start(n, rng)
    x = lock.observe(0, states, rng)
    for h in range(lock.horizon):
        with torch.no_grad():
            actions = learner.actor(_single(x), _single(rng.standard_normal((n, N_ACTIONS))))[0].numpy()
        states, rewards, _ = lock.advance(h, states, actions, rng)
        after = lock.observe(h + 1, states, rng)
        buffer.add(x, actions, rewards, after, np.full(n, h + 1 < lock.horizon))
        x = after
        for _ in range(n):
            parts = zip(buffer.draw(settings.batch - half, rng), _offline(data, half, rng))
            rows = [_single(np.concatenate(part)) for part in parts]
            learner.update(*rows, _single(rng.standard_normal((2, settings.batch, N_ACTIONS))))  # type: ignore[call-arg]
    return float((rewards == 1.0).mean())


def _offline(data: OfflineData, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """n transitions of all steps: observations, actions, rewards, next observations, whether the episode goes on."""
    columns = []
    for h, count in enumerate(np.bincount(rng.integers(data.horizon, size=n), minlength=data.horizon)):
        step = data.steps[h]
        pick = rng.integers(len(step.rewards), size=count)
        columns.append([*(column[pick] for column in step[:4]), np.full(count, h + 1 < data.horizon)])
    return [np.concatenate(parts) for parts in zip(*columns)]


def _single(x: np.ndarray) -> Tensor:
    return torch.as_tensor(np.asarray(x, np.float32))
