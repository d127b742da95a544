"""Models before their first step, and those that runs have left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from pgtheory.deep import checkpoint
from small_llm import processes
from small_llm.config import Config
from small_llm.models import load
from small_llm.optimiser import Optimiser
from small_llm.tasks import Task
from small_llm.tasks import task as task_named
from small_llm.warm_up import warm_up

CONFIG = "config.json"


def prepared(config: Config, task: Task, *, progress: bool = False) -> tuple[Any, Any]:
    """The model before its first step, warmed up where the run asks for it, and its tokenizer.

    Of several processes the first warms up, and the others get its weights.
    """
    model, tokenizer = _loaded(config, task)
    if config.warm_up is not None:
        processes.by_first(lambda: warm_up(model, tokenizer, task, config, progress=progress))
        processes.copy_first(list(model.parameters()))
    if config.lora is not None:
        from small_llm.lora import adapted

        model = adapted(model, config.lora, config.seed)
    return model, tokenizer


def open_run(folder: str | Path, *, device: str | None = None) -> tuple[Config, Any, Any]:
    """Config, model and tokenizer of a run as its newest checkpoint left them.

    A run of low-rank updates keeps nothing else: its warmed-up weights come from its cache or folder, or are made
    again.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run, or one that has not reached a checkpoint.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(f"'{folder}' holds no run: there is no {CONFIG}")
    config = Config.from_dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    path = checkpoint.latest(folder)
    if path is None:
        raise FileNotFoundError(f"the run in '{folder}' has not reached its first checkpoint")
    here = config.replace(device=device or config.device, folder=folder)
    if config.lora is None:
        here = here.replace(warm_up=None)  # the checkpoint has all weights
    model, tokenizer = prepared(here, task_named(config.task))
    Optimiser(model).restore(checkpoint.load(path)[0])
    return config, model, tokenizer


def open_source(source: str, *, task: str | None = None, device: str = "cpu") -> tuple[Any, Any, Task]:
    """Model, tokenizer and task of a run's folder, or of a model by name.

    Raises
    ------
    ValueError
        If a model by name comes without a task.
    """
    if (Path(source) / CONFIG).is_file():
        config, model, tokenizer = open_run(source, device=device)
        return model, tokenizer, task_named(task or config.task)
    if task is None:
        raise ValueError(f"{source!r} is no folder of a run, so it takes a task: --task add2, say")
    found = task_named(task)
    return *load(source, task=found, device=device), found


def _loaded(config: Config, task: Task) -> tuple[Any, Any]:
    model, tokenizer = load(
        config.model,
        task=task,
        device=config.device,
        dtype=getattr(torch, config.dtype),
        seed=config.seed,
    )
    if config.gradient_checkpointing:
        # the second is its name before transformers 5
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        model.train()  # layers recompute in training only; the first step's check notices dropout
    return model, tokenizer
