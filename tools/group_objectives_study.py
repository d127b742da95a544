"""The stored runs of notebook 41: group objectives at matched learning rates on two tasks, and the length of answers.

    python tools/group_objectives_study.py [--jobs 1] [--folder build/group-objectives]

About ten minutes of one core that is free; resumable. Every recipe sweeps the same learning rates on seeds that are not reported, and
then runs at its best one on those that are. Results go to ``figures/data/group-objectives.json`` after every part,
with the commit, the versions and the machine that made them.
"""

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import numpy as np
import torch
import transformers

from pgtheory import evidence
from pgtheory.objectives import RECIPES
from small_llm import study

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "figures" / "data" / "group-objectives.json"
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
VERSION = "2"  # of the settings in small_llm.study


def cell(rng, task, recipe, rate):
    """One run; its seed is the cell's, so that recipes share starts, prompts and random numbers."""
    import torch

    from small_llm import study

    torch.set_num_threads(1)
    return study.outcome(study.matched(task, recipe, rate, int(rng.integers(2**31)), cache=str(CACHE)))


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
        **{name: rounded(reported[name].transpose("seed", ...).values) for name in reported.data_vars},
    }


def before(task: str) -> dict:
    """The models that the reported runs start from."""
    seeds = [int(np.random.default_rng(seed).integers(2**31)) for seed in REPORTED]
    found = [
        study.start(study.matched(task, "grpo", study.RATES[0], seed, cache=str(CACHE))) for seed in seeds
    ]
    return {name: [float(f"{row[name]:.4g}") for row in found] for name in found[0]}


def rounded(values) -> list:
    """Four digits are plenty for a picture."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [None if x != x else float(f"{x:.4g}") for x in values.tolist()]


def record() -> dict:
    """What made the numbers."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "made_by": "tools/group_objectives_study.py",
        "commit": commit.stdout.strip(),
        "machine": f"CPU, {platform.machine()}, one core a run",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "settings": study.MATCHED | {"rates": study.RATES, "held_out": study.HELD_OUT},
        "choosing_seeds": CHOOSING,
        "reported_seeds": REPORTED,
        "left_out": SAME,
        "start": {task: before(task) for task in TASKS},
        "tasks": {},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "group-objectives")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stored = record()
    for recipe in NAMES:  # both tasks of a recipe together: a study cut short compares fewer recipes, fairly
        for task in TASKS:
            found = sweep(task, recipe, options)
            stored["tasks"].setdefault(task, {})[recipe] = found
            TARGET.parent.mkdir(parents=True, exist_ok=True)
            evidence.write_atomic(TARGET, json.dumps(stored, separators=(",", ":")) + "\n")
            mean = sum(found["accuracy"]) / len(REPORTED)
            print(f"{task} {recipe}: rate {found['rate']:g}, accuracy {mean:.3f}", flush=True)


if __name__ == "__main__":
    main()
