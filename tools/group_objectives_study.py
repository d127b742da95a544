"""The stored runs of notebook 41: group objectives at matched learning rates on two tasks, and the length of answers.

    python tools/group_objectives_study.py recipes [--jobs 1] [--folder build/group-objectives]
    python tools/group_objectives_study.py lengths

About ten minutes of a core that is free; resumable. Every recipe sweeps the same learning rates on seeds that are not
reported, and then runs at its best one on those that are. Results go to ``figures/data/group-objectives.json`` and
``group-lengths.json`` after every part, with the commit, the versions and the machine that made them.
"""

import argparse
import os
import platform
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import numpy as np
import torch
from stored_runs import DATA, ROOT, origin, rounded, write

from pgtheory import evidence
from pgtheory.objectives import RECIPES
from small_llm import study

TARGETS = {part: DATA / f"group-{part}.json" for part in ("objectives", "lengths")}
CACHE = ROOT / "build" / "group-objectives-warm"
TASKS = ("sort5", "countdown2")
SAME = {
    "grpo-trl": "grpo with another ε and no dual clip",
    "gspo-token": "the gradient of gspo (notebook 34)",
}
FIRST = (
    "grpo",
    "dr-grpo",
    "gbpo",
    "rloo",
    "dapo",
    "r2vpo",
    "gspo",
    "cispo",
    "reinforce",
    "real",
    "gbpo-median",
)
NAMES = [*FIRST, *(name for name in RECIPES if name not in (*FIRST, *SAME))]
CHOOSING, REPORTED = (101, 102), (1, 2, 3, 4, 5)
LENGTHS_RATE = 3e-4
VERSION = "2"  # of the settings in small_llm.study


def cell(rng, task, recipe, rate):
    """One run; its seed is the cell's, so that recipes share starts, prompts and random numbers."""
    import torch

    from small_llm import study

    torch.set_num_threads(1)
    return study.outcome(study.matched(task, recipe, rate, int(rng.integers(2**31)), cache=str(CACHE)))


def by_length(rng, task, aggregation):
    """As ``cell``, GRPO with another aggregation."""
    import torch

    from small_llm import study

    torch.set_num_threads(1)
    recipe, seed = study.AGGREGATIONS[aggregation], int(rng.integers(2**31))
    return study.outcome(study.matched(task, recipe, LENGTHS_RATE, seed, cache=str(CACHE)))


def sweep(task: str, recipe: str, options: argparse.Namespace) -> dict:
    """A recipe's learning rates on the choosing seeds, and the best one on the reported seeds."""

    def run(rates, seeds):
        conditions = {"task": [task], "recipe": [recipe], "rate": list(rates)}
        return evidence.run(
            cell, conditions, seeds, folder=options.folder, jobs=options.jobs, version=VERSION, progress=False
        ).squeeze(["task", "recipe"])

    swept = run(study.RATES, CHOOSING)
    best = study.RATES[int(swept["accuracy"].mean("seed").values.argmax())]
    reported = run([best], REPORTED).squeeze("rate")
    return {
        "rate": best,
        "sweep": rounded(swept["accuracy"].transpose("seed", "rate").values),
        **{
            name: rounded(reported[name].transpose("seed", ...).values)
            for name in ("accuracy", "curve_accuracy")
        },
    }


def before(task: str) -> dict:
    """The models that the reported runs start from."""
    seeds = [int(np.random.default_rng(seed).integers(2**31)) for seed in REPORTED]
    found = [
        study.start(study.matched(task, "grpo", study.RATES[0], seed, cache=str(CACHE))) for seed in seeds
    ]
    return {name: [float(f"{row[name]:.4g}") for row in found] for name in found[0]}


def record() -> dict:
    """What made the numbers."""
    return {
        **origin(__file__, f"CPU, {platform.machine()}, one core a run", "torch", "transformers"),
        "settings": study.MATCHED | {"held_out": study.HELD_OUT},
        "reported_seeds": REPORTED,
        "start": {task: before(task) for task in TASKS},
        "tasks": {task: {} for task in TASKS},
    }


def recipes(options: argparse.Namespace) -> None:
    """Every recipe at its own learning rate."""
    stored = record() | {"rates": study.RATES, "choosing_seeds": CHOOSING, "left_out": SAME}
    for recipe in NAMES:  # both tasks of a recipe together: a study cut short compares fewer recipes, fairly
        for task in TASKS:
            found = stored["tasks"][task][recipe] = sweep(task, recipe, options)
            write(TARGETS["objectives"], stored)
            mean = sum(found["accuracy"]) / len(REPORTED)
            print(f"{task} {recipe}: rate {found['rate']:g}, accuracy {mean:.3f}", flush=True)


def lengths(options: argparse.Namespace) -> None:
    """Three aggregations at one learning rate: AdamW takes no notice of the constants that they differ in."""
    stored = record() | {"rate": LENGTHS_RATE}
    conditions = {"task": list(TASKS), "aggregation": list(study.AGGREGATIONS)}
    runs = evidence.run(
        by_length, conditions, REPORTED, folder=options.folder, jobs=options.jobs, version=VERSION
    )
    for task in TASKS:
        for aggregation in study.AGGREGATIONS:
            of = runs.sel(task=task, aggregation=aggregation)
            found = {name: rounded(of[name].transpose("seed", ...).values) for name in of.data_vars}
            stored["tasks"][task][aggregation] = found
    write(TARGETS["lengths"], stored)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("recipes", "lengths"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "group-objectives")
    options = parser.parse_args()
    torch.set_num_threads(1)
    {"recipes": recipes, "lengths": lengths}[options.part](options)


if __name__ == "__main__":
    main()
