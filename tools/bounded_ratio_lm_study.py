"""The stored runs of notebook 42: GRPO and GBPO at nano size, clip × epochs × label noise. Resumable.

    python tools/bounded_ratio_lm_study.py [--jobs 1] [--folder build/bounded-ratio-lm]

A quarter of an hour of one core.
For each method, number of epochs and noise the learning rate is chosen at ε = 0.2 on seeds of its own, on one grid
for all; the chosen one is then run with other seeds at every ε. Finished runs stay in the folder, and
``figures/data/bounded-ratio-lm.json`` is written anew after each part, with the versions and the machine that made it.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import torch
import transformers

from pgtheory import evidence
from small_llm.ratio_study import METHODS

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "figures" / "data" / "bounded-ratio-lm.json"
CACHE = ROOT / "build" / "bounded-ratio-lm" / "warm"
STEPS = 8
PARTS = (  # epochs, noise, and ε: a step's only update starts at ρ = 1, where ε decides nothing
    (10, 0.0, (0.2, 0.1, 0.4)),
    (1, 0.0, (0.2,)),
    (10, 0.2, (0.2, 0.1, 0.4)),
    (1, 0.2, (0.2,)),
)
RATES = {1: (3e-5, 1e-4, 3e-4, 1e-3), 10: (1e-5, 3e-5, 1e-4, 3e-4)}
CHOOSING, REPORTED = [100, 101], [0, 1, 2, 3, 4]


def cell(rng, method, epsilon, epochs, noise, rate):
    """One run."""
    import torch

    from small_llm.config import Config
    from small_llm.ratio_study import SETTINGS, matched, record

    torch.set_num_threads(1)
    config = Config(
        **SETTINGS,
        recipe=matched(method, epsilon),
        steps=STEPS,
        epochs=epochs,
        learning_rate=rate,
        cache=str(CACHE),
        seed=int(rng.integers(2**31)),
    )
    return record(config, noise=noise, problems=512)


def stored() -> dict:
    """What made the numbers."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "made_by": "tools/bounded_ratio_lm_study.py",
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
        "machine": f"CPU, {platform.machine()}, one core a run, in float32",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "steps": STEPS,
        "seeds": {"choosing": CHOOSING, "reported": REPORTED},
        "sweeps": [],
        "runs": [],
    }


def part(epochs: int, noise: float, epsilons: tuple[float, ...], **options) -> tuple[list, list]:
    """The sweeps and the runs of all methods at one number of epochs and one noise."""
    sweeps, runs = [], []
    for method in METHODS:
        fixed = {"method": [method], "epochs": [epochs], "noise": [noise]}
        swept = evidence.run(
            cell, {**fixed, "epsilon": [0.2], "rate": list(RATES[epochs])}, CHOOSING, **options
        )
        found = swept["after"].mean("seed").values.ravel()
        rate = RATES[epochs][int(found.argmax())]
        named = {"method": method, "epochs": epochs, "noise": noise}
        lists = {
            "after": swept["after"].values.reshape(len(found), -1).round(4).tolist(),
            "ratio_q99": swept["ratio_q99"]
            .mean("ratio_q99_dim0")
            .values.reshape(len(found), -1)
            .round(4)
            .tolist(),
            "ratio_max": swept["ratio_max"]
            .mean("ratio_max_dim0")
            .values.reshape(len(found), -1)
            .round(4)
            .tolist(),
        }
        sweeps.append({**named, "rates": RATES[epochs], "chosen": rate, **lists})
        made = evidence.run(cell, {**fixed, "epsilon": list(epsilons), "rate": [rate]}, REPORTED, **options)
        for epsilon in epsilons:
            one = made.sel(
                {"method": method, "epochs": epochs, "noise": noise, "epsilon": epsilon, "rate": rate}
            )
            values = {
                name: one[name].transpose("seed", ...).values.round(4).tolist() for name in made.data_vars
            }
            runs.append({**named, "epsilon": epsilon, "rate": rate, **values})
    return sweeps, runs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=CACHE.parent)
    options = parser.parse_args()
    result = stored()
    for epochs, noise, epsilons in PARTS:
        sweeps, runs = part(epochs, noise, epsilons, folder=options.folder, jobs=options.jobs, version="1")
        result["sweeps"] += sweeps
        result["runs"] += runs
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        evidence.write_atomic(TARGET, json.dumps(result, separators=(",", ":")) + "\n")
        print(f"{epochs} epochs, noise {noise:g} -> {TARGET.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    main()
