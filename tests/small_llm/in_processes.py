"""What each of several processes runs: ``python in_processes.py SCENARIO FOLDER ...``, as ``test_processes`` does."""

import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from small_llm import Config, WarmUp, opening, processes, train, training
from small_llm.tasks import Problem, Task, task

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
BASE = Config(
    task="add1", steps=2, prompts=8, group_size=4, epochs=2, minibatches=2, learning_rate=1e-3,
    evaluation_problems=8,
)  # fmt: skip
CASES = {
    "ddp": {
        "plain": BASE.replace(recipe="gbpo"),
        "whitened, in parts": BASE.replace(recipe="reinforce++", accumulate=2),
        "answers coupled": BASE.replace(recipe="real"),
        "penalty": BASE.replace(recipe="grpo-paper"),
        "draws": BASE.replace(recipe="dapo", draws=3),
        "lora": BASE.replace(recipe="grpo", lora=4, kl=0.1),
    },
    "fsdp": {
        "batch's spread, in parts": BASE.replace(recipe="grpo-batch", sharded=True, accumulate=2),
        "penalty": BASE.replace(recipe="gbpo", kl=0.1, sharded=True, gradient_checkpointing=True),
        "lora": BASE.replace(recipe="grpo", kl=0.1, lora=4, sharded=True),
    },
}


@dataclass(frozen=True)
class Sevens(Task):
    """The share of sevens, with prompts of many lengths; what ``spoiled`` says of each reward is of this process."""

    name: str = "sevens"
    alphabet: str = "0123456789+="
    max_new_tokens: int = 4
    spoiled: float = 0.0

    def draw(self, rng, n):
        return [Problem(f"{'1' * int(k)}=", "777") for k in rng.integers(1, 30, n)]

    def verify(self, problem, completion):
        return completion.count("7") / 4

    def vote(self, problem, completion):
        return completion

    def rewards(self, problem, completions):
        if self.spoiled == math.inf:
            raise OSError("the verifier's machine is gone")
        return super().rewards(problem, completions) + self.spoiled


def trained(config, **options):
    """Weights, metrics and final answers of a run."""
    run = train(config, task=options.pop("task", Sevens()), progress=False, **options)
    weights = {
        name: (p.full_tensor() if isinstance(p, DTensor) else p).detach()
        for name, p in run.model.named_parameters()
    }
    metrics = {name: values.values for name, values in run.metrics.items()}
    return {"weights": weights, "metrics": metrics, "texts": run.evaluation.texts}


def every_case(folder, engine):
    for name, config in CASES[engine].items():
        result = trained(config)
        if processes.rank() == 0:
            torch.save(result, folder / f"{name}.pt")


def resumed(folder):
    """A run with and without shards that is ended early and goes on; and who of the processes wrote rows."""
    files = []
    keeps = training.Metrics
    training.Metrics = lambda file, **options: files.append(str(file)) or keeps(file, **options)
    config = BASE.replace(steps=3, checkpoint_every=2, minibatches=1)
    for sharded in (False, True):
        here = config.replace(sharded=sharded, folder=str(folder / f"run-{sharded}"))
        early = trained(here, callback=lambda row: row["step"] == 2)  # of the first process alone
        assert len(early["metrics"]["reward/mean"]) == 2
        result = trained(here)
        if processes.rank() == 0:
            torch.save(result, folder / f"{sharded}.pt")
    (folder / f"{processes.rank()}.json").write_text(json.dumps(files))


def warmed_up(folder):
    """Only the first process warms up; the weights that each begins with."""

    def warm_up(model, *arguments, **options):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1)

    opening.warm_up = warm_up
    model, _ = opening.prepared(BASE.replace(warm_up=WarmUp()), task("add1"))
    torch.save(dict(model.named_parameters()), folder / f"{processes.rank()}.pt")


def spoiled(folder):
    """The second process's rewards are NaN, then its verifier fails; then no process warms up far enough."""
    said = []
    for number, config in (
        (math.nan, BASE.replace(folder=str(folder / "nan"))),
        (math.inf, BASE),
        (0.0, BASE.replace(warm_up=WarmUp(accuracy=1.0, most_steps=1))),
        (0.0, BASE.replace(prompts=9, minibatches=1)),
    ):
        own = Sevens(spoiled=number if processes.rank() == 1 else 0.0)
        try:
            train(config, task=own, progress=False)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    (folder / f"{processes.rank()}.json").write_text(json.dumps(said))


def start(command, count, *, seconds=200, **environment):
    """Run a command in ``count`` processes that find each other; returns their (exit code, errors)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    running = [
        subprocess.Popen(
            command, env={**shared, "RANK": str(i), "LOCAL_RANK": str(i)}, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for i in range(count)
    ]  # fmt: skip
    try:
        errors = [process.communicate(timeout=seconds)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, error) for process, error in zip(running, errors)]


if __name__ == "__main__":
    scenario, folder, *rest = sys.argv[1:]
    np.seterr(all="raise", under="ignore")
    with processes.together("cpu"):
        assert processes.count() == 2
        scenarios = {work.__name__: work for work in (every_case, resumed, warmed_up, spoiled)}
        scenarios[scenario](Path(folder), *rest)
