"""The on-policy loop: roll out, learn, log, save; and go on where an earlier call stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pgtheory.deep.actor_critic import Agent, Network
from pgtheory.deep.algorithms.on_policy import OnPolicy
from pgtheory.deep.environments import open_environments
from pgtheory.deep.evaluation import evaluate
from pgtheory.deep.loop import Loop
from pgtheory.deep.metrics import Metrics, TensorBoard
from pgtheory.deep.progress import Progress
from pgtheory.mdp import validate

if TYPE_CHECKING:
    import xarray

COMPILE_ABOVE = 60_000
"""Minibatches from which compiling pays for itself many times over."""

LONG_EPISODE = 2000
"""Steps that environments get between the resets at checkpoints, unless asked otherwise: nothing shorter is cut."""


@dataclass(frozen=True)
class Run:
    """What training left.

    Attributes
    ----------
    agent : Agent
        The trained policy: ``agent.act(observations)``, ``agent.save(path)``.
    metrics : xarray.Dataset
        One row an update, dimension ``step``: environment steps so far.
    steps : int
        Environment steps taken in all.
    """

    agent: Agent
    metrics: xarray.Dataset
    steps: int


def train(
    algorithm: OnPolicy,
    environment: str | Callable[[], Any],
    *,
    steps: int,
    seed: int = 0,
    n_environments: int = 8,
    network: Network | None = None,
    normalise_observations: bool = False,
    normalise_rewards: bool = False,
    evaluate_every: int | None = None,
    evaluation_episodes: int = 10,
    folder: str | Path | None = None,
    checkpoint_every: int | None = None,
    workers: int | None = None,
    backend: str = "auto",
    compiled: bool | None = None,
    threads: int = 1,
    tensorboard: bool = False,
    progress: bool = True,
    callback: Callable[[dict[str, float]], bool | None] | None = None,
) -> Run:
    """Train a policy on vector environments.

    **Reproducibility.** Everything random follows from ``seed``: on one machine and with the same versions, the same
    call gives the same numbers bit for bit, for any ``workers``, also between the backends "local" and "processes".
    ``compiled`` and ``threads`` change the order of sums, and so the last bits.

    **Resuming.** With a ``folder``, the same call made again goes on from the last checkpoint and ends with the same
    bits as one that was never interrupted. What environments hold inside cannot be saved, so all of them are reset at
    every checkpoint, interrupted or not: an episode under way then counts as cut, and how often depends on
    ``checkpoint_every``. Without a folder nothing is reset. After a longer ``steps``, or a callback that stopped the
    run, the last bits differ from a run that went through.

    Parameters
    ----------
    algorithm
        Such as ``PPO()``, ``BPO(epsilon=0.2)``, ``TRPO()``.
    environment
        A Gymnasium id, or a function that makes one environment. Observations may be boxes or discrete, actions
        discrete or boxes (clipped to their bounds when they are taken, not when they are learned from).
    steps
        Environment steps in all, rounded up to whole updates.
    n_environments
        How many are stepped together.
    network
        ``Network()`` by default: two tanh layers of 64.
    normalise_observations, normalise_rewards
        By running moments, updated after each rollout.
    evaluate_every, evaluation_episodes
        Every so many updates, and at the end, play episodes with seeds of their own and the most likely actions:
        ``evaluation/return``.
    folder
        Where ``metrics.jsonl`` and checkpoints go; nothing is written without it.
    checkpoint_every
        Updates between checkpoints: by default a tenth of the run, but time for an episode of 2000 steps. A last one
        is written at the end.
    workers
        Processes that step environments; chosen from their speed and the cores by default.
    compiled
        Compile loss, gradient and step; by default in runs of more than 60 000 minibatches if there is a C++ compiler.
    threads
        Threads of PyTorch during this call. Small networks gain nothing from more than one.
    callback
        Called with each update's metrics; training ends early where it returns True.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit, and for environments whose spaces are not supported.
    BrokenEnvironment
        When an environment fails, or returns a reward or an observation that is not finite; checkpoints stay.
    Diverged
        When parameters or actions are not finite any more; checkpoints stay.
    CheckpointError
        When the folder holds a checkpoint of another run.
    """
    validate.instance_of("algorithm", algorithm, OnPolicy)
    network = Network() if network is None else network
    validate.instance_of("network", network, Network)
    seed = validate.positive_integer("seed", seed, 0)
    per_update = algorithm.n_steps * validate.positive_integer("n_environments", n_environments)
    if per_update % algorithm.minibatch:
        raise ValueError(
            f"minibatch must divide n_steps * n_environments = {per_update}, got {algorithm.minibatch}"
        )
    updates = -(-validate.positive_integer("steps", steps) // per_update)
    episode = -(-LONG_EPISODE // algorithm.n_steps)
    every = max(1, updates // 10, episode) if checkpoint_every is None else checkpoint_every
    validate.positive_integer("checkpoint_every", every)
    if evaluate_every is not None:
        validate.positive_integer("evaluate_every", evaluate_every)
    validate.positive_integer("evaluation_episodes", evaluation_episodes)
    validate.flag("normalise_observations", normalise_observations)
    validate.flag("normalise_rewards", normalise_rewards)
    validate.flag("progress", progress)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of an update's metrics, got {callback!r}")
    if compiled is None:
        enough = updates * algorithm.epochs * (per_update // algorithm.minibatch) > COMPILE_ABOVE
        compiled = enough and shutil.which("g++") is not None
    folder = None if folder is None else Path(folder)
    if validate.flag("tensorboard", tensorboard) and folder is None:
        raise ValueError("tensorboard=True needs a folder to write to: pass folder=...")
    before = torch.get_num_threads()
    torch.set_num_threads(validate.positive_integer("threads", threads))
    try:
        with open_environments(
            environment, n_environments, seed=seed, workers=workers, backend=backend
        ) as worlds:
            loop = Loop(
                algorithm,
                worlds,
                network,
                seed=seed,
                compiled=compiled,
                normalise_observations=normalise_observations,
                normalise_rewards=normalise_rewards,
                schedule={"checkpoint_every": every} | ({"updates": updates} if algorithm.anneal else {}),
            )
            if folder is not None:
                loop.resume(folder)
            loop.reset()
            metrics = Metrics(None if folder is None else folder / "metrics.jsonl", resume_from=loop.steps)
            began, first = time.perf_counter(), loop.steps
            with (
                TensorBoard(folder or "", wanted=tensorboard, resume_from=loop.steps) as writer,
                Progress(updates * per_update, initial=loop.steps, shown=progress) as bar,
            ):
                stop = loop.done >= updates
                while not stop:
                    left = 1 - loop.done / updates if algorithm.anneal else 1.0
                    row = loop.update(algorithm.learning_rate * left)
                    row["charts/fps"] = (loop.steps - first) / (time.perf_counter() - began)
                    last = loop.done == updates
                    if evaluate_every is not None and (last or loop.done % evaluate_every == 0):
                        played = evaluate(loop.agent().act, environment, episodes=evaluation_episodes)
                        row["evaluation/return"] = played.mean
                        row["evaluation/standard_error"] = played.standard_error
                    metrics.add(loop.steps, row)
                    writer.add(loop.steps, row)
                    bar.update(per_update, row["charts/return"])
                    stop = (callback is not None and callback({"step": loop.steps, **row}) is True) or last
                    if folder is not None and (stop or loop.done % every == 0):
                        loop.save(folder)
                        if not stop:
                            loop.reset()
            return Run(loop.agent(), metrics.to_xarray(), loop.steps)
    finally:
        torch.set_num_threads(before)
