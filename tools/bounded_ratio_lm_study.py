"""The stored runs of notebook 42: GRPO and GBPO at nano size, clip × epochs × label noise. Resumable.

    python tools/bounded_ratio_lm_study.py [--jobs 1] [--folder build/bounded-ratio-lm]

A quarter of an hour of one core. For each method and number of epochs the learning rate is chosen at ε = 0.2, without
wrong labels, on seeds of its own and on one grid for all; it is then run with other seeds everywhere else. Finished
runs stay in the folder, and ``figures/data/bounded-ratio-lm.json`` is written anew after each part, with the versions
and the machine that made it.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import numpy as np
from stored_runs import DATA, ONE_CORE, ROOT, origin, write

from pgtheory import evidence
from small_llm.ratio_study import METHODS

TARGET = DATA / "bounded-ratio-lm.json"
CACHE = ROOT / "build" / "bounded-ratio-lm" / "warm"
STEPS = 8
PARTS = (  # epochs, noise, ε: with one epoch a step's only update starts at ρ = 1, where ε decides nothing
    (10, 0.0, 0.2),
    (1, 0.0, 0.2),
    (10, 0.2, 0.2),
    (1, 0.2, 0.2),
    (10, 0.0, 0.1),
    (10, 0.0, 0.4),
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
    return {
        **origin(__file__, ONE_CORE, "torch", "transformers"),
        "steps": STEPS,
        "seeds": {"choosing": CHOOSING, "reported": REPORTED},
        "sweeps": [],
        "runs": [],
    }


def sweep(method: str, epochs: int, **options) -> dict:
    """One method's runs at every rate, and the rate that it is given."""
    at = {"method": [method], "epsilon": [0.2], "epochs": [epochs], "noise": [0.0]}
    swept = evidence.run(cell, {**at, "rate": list(RATES[epochs])}, CHOOSING, **options)
    named = {"method": method, "epochs": epochs, "rates": RATES[epochs]}
    for name in ("after", "ratio_q99", "ratio_max"):
        runs = swept[name].squeeze().transpose("rate", "seed", ...).values
        named[name] = runs.reshape(*runs.shape[:2], -1).mean(-1).round(4).tolist()  # a mean over steps
    best = int(np.mean(named["after"], 1).argmax())
    return {**named, "chosen": RATES[epochs][best]}


def reported(method: str, rate: float, epochs: int, noise: float, epsilon: float, **options) -> dict:
    """One method's runs at the rate that it was given."""
    at = {"method": method, "epsilon": epsilon, "epochs": epochs, "noise": noise, "rate": rate}
    made = evidence.run(cell, {name: [value] for name, value in at.items()}, REPORTED, **options).sel(at)
    return at | {name: made[name].transpose("seed", ...).values.round(4).tolist() for name in made.data_vars}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=CACHE.parent)
    options = parser.parse_args()
    result = stored()
    shared = {"folder": options.folder, "jobs": options.jobs, "version": "1"}
    chosen = {}
    for epochs, noise, epsilon in PARTS:
        for method in METHODS:
            if (method, epochs) not in chosen:
                result["sweeps"].append(sweep(method, epochs, **shared))
                chosen[method, epochs] = result["sweeps"][-1]["chosen"]
            result["runs"].append(reported(method, chosen[method, epochs], epochs, noise, epsilon, **shared))
        write(TARGET, result)
        print(f"{epochs} epochs, noise {noise:g}, ε {epsilon:g} -> {TARGET.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    main()
