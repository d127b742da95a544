"""The loop around the steps: warm up, step, evaluate, log, save; and go on where an earlier call stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgtheory.deep.metrics import Metrics, TensorBoard
from pgtheory.deep.progress import Progress
from pgtheory.evidence.atomic import write_atomic
from pgtheory.mdp import validate
from small_llm import processes
from small_llm.config import Config
from small_llm.evaluation import Evaluation
from small_llm.loop import Loop
from small_llm.opening import CONFIG, prepared
from small_llm.tasks import Task
from small_llm.tasks import task as task_named

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class Run:
    """What training left.

    Attributes
    ----------
    config : Config
    model, tokenizer
        From transformers; of a sharded model, this process's part.
    metrics : xarray.Dataset
        One row a step, dimension ``step``.
    evaluation : Evaluation
        On held-out problems, at the end.
    """

    config: Config
    model: Any
    tokenizer: Any
    metrics: xarray.Dataset
    evaluation: Evaluation


def train(
    config: Config,
    *,
    task: Task | None = None,
    progress: bool = True,
    tensorboard: bool | None = None,
    callback: Callable[[dict[str, float]], bool | None] | None = None,
) -> Run:
    """Train a language model by policy gradients.

    **Reproducibility.** Everything random follows from ``config.seed``: on one machine's CPU, with the same versions
    and threads, the same call gives the same numbers bit for bit.

    **Resuming.** With a folder, the same call made again goes on from the last checkpoint and ends with the same
    numbers, bit for bit, as a run that went through; so does one with more steps, where the learning rate is constant.

    **Many processes.** Started by torchrun or accelerate, the processes share each step's prompts and end, up to
    rounding, where one process would. They must see the same folder; the first writes. Its callback is the one
    that is called.

    Parameters
    ----------
    config : Config
    task : Task, optional
        What gives the rewards, such as ``NoisyLabels(task("add2"), 0.1, seed)``; its name must tell it apart. The model
        is built for, warmed up on and evaluated by ``config.task`` in any case.
    progress : bool
        Show a bar.
    tensorboard : bool, optional
        Write event files to the folder; by default where there is one and the package is installed.
    callback : callable, optional
        Called with each step's metrics; training ends early where it returns True.

    Raises
    ------
    NotFinite
        When a reward, a logit or a gradient is not finite; the step's data are saved.
    CheckpointError
        When the folder holds a checkpoint of another run.
    Stopped
        When another process had to stop.
    """
    validate.instance_of("config", config, Config)
    validate.flag("progress", progress)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of a step's metrics, got {callback!r}")
    folder = None if config.folder is None else Path(config.folder)
    if tensorboard and folder is None:
        raise ValueError("tensorboard=True needs a folder to write to: set config.folder")
    with processes.together(config.device):
        _check_processes(config)
        return _trained(config, task, progress, tensorboard, callback)


def _trained(
    config: Config,
    task: Task | None,
    progress: bool,
    tensorboard: bool | None,
    callback: Callable[[dict[str, float]], bool | None] | None,
) -> Run:
    first = processes.rank() == 0
    folder = None if config.folder is None else Path(config.folder)
    judge = task_named(config.task)
    model, tokenizer = prepared(config, judge, progress=progress and first)
    loop = Loop(config, model, tokenizer, judge if task is None else task, judge)
    if folder is not None:
        loop.resume(folder)
        record = json.dumps(config.to_dict(), indent=2) + "\n"
        processes.by_first(lambda: write_atomic(folder / CONFIG, record))
    kept = folder if first else None
    metrics = Metrics(None if kept is None else kept / "metrics.jsonl", resume_from=loop.done)
    every = config.checkpoint_every or max(1, config.steps // 10)
    final: Evaluation | None = None
    with (
        TensorBoard(
            kept or "", wanted=False if kept is None else tensorboard, resume_from=loop.done
        ) as writer,
        Progress(config.steps, initial=loop.done, shown=progress and first) as bar,
    ):

        def told(row: dict[str, float]) -> bool:
            """Whether to end early."""
            writer.add(loop.done, row)
            bar.update(1, row["reward/mean"])
            return callback is not None and callback({"step": loop.done, **row}) is True

        stop = loop.done >= config.steps
        while not stop:
            row = loop.step()
            last, final = loop.done == config.steps, None
            if last or (config.evaluate_every and loop.done % config.evaluate_every == 0):
                final = loop.evaluate()
                row |= {f"evaluation/{name}": value for name, value in final.row().items()}
            metrics.add(loop.done, row)
            stop = processes.by_first(partial(told, row)) or last
            if folder is not None and (stop or loop.done % every == 0):
                loop.save(folder)
    if final is None:
        final = loop.evaluate()
    return Run(config, model, tokenizer, metrics.to_xarray(), final)


def _check_processes(config: Config) -> None:
    count = processes.count()
    parts = config.minibatches * config.accumulate * count
    if config.prompts % parts:
        raise ValueError(
            f"minibatches * accumulate * processes must divide prompts = {config.prompts}, so that every process "
            f"has as many groups; got {config.minibatches} * {config.accumulate} * {count}"
        )
    if config.sharded and count == 1:
        raise ValueError(
            "sharded divides a model between processes, and there is one: start several, as in "
            "'torchrun --nproc-per-node 2 -m small_llm train ...', or leave sharded=False"
        )
