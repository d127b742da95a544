"""One program for one lent GPU: does what holds at nano size hold at 1B, and how fast is it there?

``python -m small_llm scale --minutes 9`` warms a model up on arithmetic until it is partly competent, trains it by each
recipe from that checkpoint with the same problems, and measures speed and memory. Everything found so far is in its
file at every moment; a part that fails is named there, with the reason, and the others go on.
"""

from __future__ import annotations

import gc
import re
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pgtheory.mdp import validate

FOLDER = Path("figures/data")
SIZES: dict[str, dict[str, Any]] = {
    "nano": {"learning_rate": 1e-4, "warm_up_rate": 3e-3, "prompts": 16},
    "small": {"learning_rate": 3e-5, "warm_up_rate": 1e-3, "prompts": 32},
    "1b": {"learning_rate": 3e-6, "warm_up_rate": 3e-4, "prompts": 64},
}
"""What follows from the model where it is not given; ``1b`` is computed in bfloat16, the others in float32."""

WARM_UP, COMPARED, COMPARED_TOO, PRETRAINED = 0.25, 0.75, 0.6, 0.75
"""Shares of the time after which each part ends; the third is the second's where a pretrained model follows."""
LOOK = 20  # steps of the warm-up between looks at its accuracy
COMPILING = 75.0  # seconds that must be left for compiling to begin


@dataclass(frozen=True)
class Plan:
    """A scale run.

    Parameters
    ----------
    minutes : float
        What it may take in all: a quarter for the warm-up, half in equal parts for the recipes, the rest for speed.
    model : {"1b", "small", "nano"}
    task : str
    recipes : str
        Names with commas between.
    epochs, minibatches, group_size : int
    prompts, learning_rate, warm_up_rate : optional
        By the model's size. One learning rate for all recipes: there is no time for a sweep.
    accuracy : float
        The warm-up ends when so many held-out problems are answered rightly, or with its share of the time.
    vocabulary : int
        Of the measurement of memory.
    pretrained, pretrained_task : str, optional
        A model as ``models.load`` knows it, and what GRPO and GBPO then train it on.
    device : str, optional
        CUDA where there is it.
    commit : str, optional
        Of the code, where there is no git to ask.
    seed : int
    out : str, optional
        The file; by default in figures/data/gpu, by device and date, or figures/data/scale-cpu.json.
    """

    minutes: float = 9.0
    model: str = "1b"
    task: str = "add2"
    recipes: str = "grpo,gbpo,gbpo-median,dr-grpo,r2vpo"
    epochs: int = 4
    minibatches: int = 2
    group_size: int = 8
    prompts: int | None = None
    learning_rate: float | None = None
    warm_up_rate: float | None = None
    accuracy: float = 0.4
    vocabulary: int = 131072
    pretrained: str | None = None
    pretrained_task: str = "reasoning-gym:chain_sum"
    device: str | None = None
    commit: str | None = None
    seed: int = 0
    out: str | None = None

    def __post_init__(self) -> None:
        from pgtheory.objectives import recipe

        validate.positive("minutes", self.minutes)
        if self.model not in SIZES:
            raise ValueError(f"model must be one of {', '.join(SIZES)}, got {self.model!r}")
        for name in self.names:
            recipe(name)
        if not 0 < validate.real("accuracy", self.accuracy) <= 1:
            raise ValueError(f"accuracy must lie in (0, 1], got {self.accuracy}: a share of the problems")
        validate.positive_integer("vocabulary", self.vocabulary, 1000)
        for name, value in SIZES[self.model].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    @property
    def names(self) -> list[str]:
        """The recipes, each once."""
        return list(dict.fromkeys(name.strip() for name in self.recipes.split(",")))

    def config(self, recipe: str, device: Any, **changes: Any) -> Any:
        """The run of a recipe."""
        from small_llm.config import Config

        shared = {field.name for field in fields(self)} & {field.name for field in fields(Config)}
        dtype = "bfloat16" if self.model == "1b" else "float32"
        given = {name: getattr(self, name) for name in shared} | {"device": str(device), "dtype": dtype}
        return Config(**given | {"recipe": recipe, "steps": 10**6, **changes})


def scale(plan: Plan) -> Path:
    """Carry a plan out and return the file that was written."""
    import torch

    from small_llm import speed_parts
    from small_llm.models import load
    from small_llm.notes import Notes, origin
    from small_llm.tasks import task as task_named

    device = torch.device(plan.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    config, task = plan.config(plan.names[0], device), task_named(plan.task)  # refuses what cannot be
    made = origin(device, plan.commit)
    record = {"made_by": "python -m small_llm scale", "finished": False, **made, "plan": asdict(plan)}
    notes = Notes(Path(plan.out) if plan.out else _default_file(made), record)
    whole, began = 60 * plan.minutes, time.perf_counter()

    def left(share: float) -> float:
        return began + share * whole - time.perf_counter()

    model, tokenizer = load(
        plan.model, task=task, device=device, dtype=getattr(torch, config.dtype), seed=plan.seed
    )
    notes.put("parameters", sum(weight.numel() for weight in model.parameters()))
    warmed(model, tokenizer, task, plan, left(WARM_UP), notes)
    until = COMPARED_TOO if plan.pretrained else COMPARED
    compare(model, tokenizer, plan.names, config, lambda: left(until), notes, "runs")
    if plan.pretrained:
        with notes.part("pretrained"):
            speed_parts.pretrained(plan, device, lambda: left(PRETRAINED), notes)
    speed_parts.measure(model, tokenizer, plan.vocabulary, lambda: left(1) > COMPILING, notes)
    notes.put("finished", True)
    return notes.path


def warmed(model: Any, tokenizer: Any, task: Any, plan: Plan, seconds: float, notes: Any) -> None:
    """Learn from right answers until enough problems are answered rightly, or the time is over."""
    import numpy as np

    from small_llm.evaluation import evaluate
    from small_llm.optimiser import Optimiser, rate
    from small_llm.warm_up import RAMP, imitate

    optimiser, rng = Optimiser(model), np.random.default_rng((plan.seed, 3))
    began, done, curve = time.perf_counter(), 0, []
    assert plan.warm_up_rate is not None
    while True:
        accuracy = evaluate(model, tokenizer, task, problems=256, seed=1).accuracy
        spent = time.perf_counter() - began
        curve.append({"step": done, "seconds": spent, "accuracy": accuracy})
        notes.put("warm_up", curve, now=False)
        if accuracy >= plan.accuracy or spent >= seconds:
            break
        for _ in range(LOOK):
            imitate(model, tokenizer, task.problems(rng, 128, "train"))
            done += 1
            optimiser.step(rate(plan.warm_up_rate, "constant", RAMP, done, done + 1))
    notes.put("warm_up", curve)


def compare(
    model: Any, tokenizer: Any, names: list[str], config: Any, left: Any, notes: Any, where: str
) -> None:
    """Train by each recipe from the same weights on the same problems, for equal shares of the time left."""
    start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for i, name in enumerate(names):
        restore(model, start)
        with notes.part(f"{where}/{name}"):
            seconds = left() / (len(names) - i)
            train_for(config.replace(recipe=name), model, tokenizer, seconds, notes, f"{where}/{name}")
        model.zero_grad(set_to_none=True)
        gc.collect()  # the optimiser's memory is needed for the next one
    restore(model, start)


def train_for(config: Any, model: Any, tokenizer: Any, seconds: float, notes: Any, name: str) -> None:
    """Steps until another one would not fit, the first in any case, and what they showed."""
    from small_llm.loop import Loop
    from small_llm.tasks import task as task_named

    task = task_named(config.task)
    loop = Loop(config, model, tokenizer, task, task)
    began = time.perf_counter()
    columns: dict[str, list[float]] = {}
    before = loop.evaluate().row()
    spent = took = 0.0
    while not columns or spent + took <= seconds:
        row = loop.step()
        took = time.perf_counter() - began - spent
        spent += took
        for key, value in {"seconds": spent, **row}.items():
            columns.setdefault(key, []).append(value)
        notes.put(name, {"before": before, "steps": columns}, now=False)
    after = loop.evaluate().row()
    notes.put(name, {"before": before, "after": after, "steps": columns, "bytes": most_bytes(config.device)})


def most_bytes(device: str) -> int | None:
    """Most memory in use on a GPU since this was last asked."""
    import torch

    if torch.device(device).type != "cuda":
        return None
    found = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return found


def restore(model: Any, start: dict[str, Any]) -> None:
    """Give a model weights that it had."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(start[name])


def _default_file(made: dict[str, Any]) -> Path:
    machine = made["machine"]
    if machine["kind"] == "cpu":
        return FOLDER / "scale-cpu.json"
    device = re.sub(r"[^a-z0-9]+", "-", machine["device"].lower()).strip("-")
    return FOLDER / "gpu" / f"{re.sub(r'[^0-9]', '', made['date'][:16])}-{device}.json"
