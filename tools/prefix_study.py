"""The stored runs of notebook 65: GRPO from prompts and from prefixes of a solved chain, at nano size. Resumable.

    python tools/prefix_study.py [--jobs 1] [--folder build/prefixes]

About an hour of one core. Each method's learning rate is chosen on the chain of 8, on seeds of its own and
on one grid for all; it is then run with other seeds on every chain. Finished runs stay in the folder, and
``figures/data/prefixes.json`` is written anew after each part, with the commit, the versions and the machine that
made it.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import numpy as np
from stored_runs import DATA, ONE_CORE, ROOT, origin, write

from pgtheory import evidence
from small_llm.prefix_study import CONTROLS, METHODS

TARGET = DATA / "prefixes.json"
RATES, SWEPT = (2.5e-4, 5e-4, 1e-3, 2e-3), 8
LENGTHS = (2, 4, 6, 8, 10, 12)
STEPS = 256
CHOOSING, REPORTED = (100, 101, 102), tuple(range(20, 40))
BALANCED, BALANCED_RATES, BALANCED_SEEDS = 3, (2.5e-4, 5e-4), tuple(range(10, 20))
NAMES = ("completions", "solved", "accuracy")
VERSION = "2"  # of the settings in small_llm.prefix_study


def cell(rng, length, **rates):
    """All methods from one start, each at its learning rate."""
    return outcomes(rng, length, [(m, {"learning_rate": rate}, {}) for m, rate in rates.items()])


def balanced_cell(rng, rate):
    """All arms of the balanced chain, from one start and at one learning rate."""
    arms = CONTROLS.values()
    return outcomes(rng, BALANCED, [("backwards", {**own, "learning_rate": rate}, how) for own, how in arms])


def outcomes(rng, length, runs):
    """What each (method, settings, options) came to, on one chain and from one start."""
    import torch

    from small_llm.config import Config
    from small_llm.prefix_study import SETTINGS, formed, learned
    from small_llm.tasks.chain import Chain

    torch.set_num_threads(1)
    seed = int(rng.integers(2**31))
    chain = Chain(length, seed=seed)
    start = formed(chain, seed)
    found = [
        learned(start, chain, method, Config(**{**SETTINGS, **settings}, steps=STEPS, seed=seed), **options)
        for method, settings, options in runs
    ]
    return {name: np.array([float(run[name]) for run in found]) for name in NAMES}


def made(function, conditions: dict, seeds: tuple[int, ...], options: argparse.Namespace) -> dict:
    """Lists [condition, seed, run]; conditions with one value leave no axis."""
    runs = evidence.run(
        function,
        {name: list(values) for name, values in conditions.items()},
        list(seeds),
        folder=options.folder,
        jobs=options.jobs,
        version=VERSION,
    ).squeeze([name for name, values in conditions.items() if len(values) == 1])
    first = [name for name, values in conditions.items() if len(values) > 1]
    return {name: runs[name].transpose(*first, "seed", ...).values.round(4).tolist() for name in NAMES}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "prefixes")
    options = parser.parse_args()
    result = origin(__file__, ONE_CORE, "torch", "transformers") | {
        "steps": STEPS,
        "seeds": {"choosing": CHOOSING, "reported": REPORTED, "balanced": BALANCED_SEEDS},
        "methods": METHODS,
        "rates": RATES,
    }

    def at(length: int, rates: dict[str, float], seeds: tuple[int, ...]) -> dict:
        each = {method: (rate,) for method, rate in rates.items()}
        return made(cell, {"length": (length,), **each}, seeds, options)

    def keep(what: str) -> None:
        write(TARGET, result)
        print(f"{what} -> {TARGET.relative_to(ROOT)}", flush=True)

    spent = [at(SWEPT, dict.fromkeys(METHODS, rate), CHOOSING)["completions"] for rate in RATES]
    best = np.array(spent).mean(1).argmin(0)  # of [rate, seed, method]
    chosen = {method: RATES[i] for method, i in zip(METHODS, best)}
    result |= {"sweep": {"length": SWEPT, "completions": spent, "chosen": chosen}, "runs": []}
    keep("learning rates")
    for length in LENGTHS:
        result["runs"].append({"length": length, **at(length, chosen, REPORTED)})
        keep(f"length {length}")
    arms = made(balanced_cell, {"rate": BALANCED_RATES}, BALANCED_SEEDS, options)
    result["balanced"] = {"length": BALANCED, "rates": BALANCED_RATES, "arms": list(CONTROLS), **arms}
    keep("balanced")


if __name__ == "__main__":
    main()
