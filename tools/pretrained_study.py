"""The stored runs of notebook 43: SmolLM2-135M on reasoning-gym, GRPO and GBPO by low-rank updates. Resumable.

    python tools/pretrained_study.py [--steps 20] [--seeds 2] [--jobs 1] [--folder build/pretrained]

Well over an hour of one core; needs the extra ``llm``. Both methods at two learning rates, all of which are kept,
and how often the model as it comes answers some data sets rightly. Runs go on from their checkpoints, and
``figures/data/pretrained.json`` is written anew after each pair, with the versions and the machine that made it.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

from stored_runs import DATA, ONE_CORE, ROOT, origin, write

from pgtheory import evidence
from small_llm.pretrained_study import DATASETS, HELD_OUT, SETTINGS

TARGET = DATA / "pretrained.json"
METHODS, RATES = ["grpo", "gbpo"], (1e-4, 3e-5)


def survey(rng, dataset):
    """How often the model as it comes answers a data set rightly, and whether groups differ."""
    import torch

    from small_llm.pretrained_study import pass_rates

    torch.set_num_threads(1)
    return pass_rates(dataset, seed=int(rng.integers(2**31)))


def baseline(rng, model):
    """The held-out problems of the runs, before any."""
    import torch

    from small_llm.pretrained_study import untrained

    torch.set_num_threads(1)
    return untrained(model=model)


def cell(rng, method, rate, steps, folder):
    """One run."""
    import torch

    from small_llm.pretrained_study import run

    torch.set_num_threads(1)
    seed = int(rng.integers(2**31))
    return run(method, rate, steps, seed, folder=f"{folder}/runs/{method}-{rate:g}-{seed}")


def stored(steps: int) -> dict:
    """What made the numbers."""
    return {
        **origin(
            __file__,
            ONE_CORE,
            *("reasoning-gym", "torch", "transformers", "peft"),
        ),
        "steps": steps,
        "held_out": HELD_OUT,
        "settings": {name: value for name, value in SETTINGS.items() if name != "cache"},
        "survey": [],
        "runs": [],
    }


def plain(data, **at) -> dict:
    """The numbers of one condition, seeds first, four digits."""
    one = data.sel(at)
    return {name: one[name].transpose("seed", ...).values.round(4).tolist() for name in data.data_vars}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "pretrained")
    options = parser.parse_args()
    result = stored(options.steps)

    shared = {"folder": options.folder, "jobs": options.jobs, "version": "2"}
    before = evidence.run(baseline, {"model": [SETTINGS["model"]]}, [0], **shared)
    result["untrained"] = plain(before, model=SETTINGS["model"])
    fixed = {"steps": [options.steps], "folder": [str(options.folder)]}
    for rate in RATES:
        for count in range(1, options.seeds + 1):  # pairs with equal seeds, one after the other
            made = evidence.run(cell, {"method": METHODS, "rate": [rate], **fixed}, count, **shared)
            at = {"rate": rate, **{name: values[0] for name, values in fixed.items()}}
            runs = [{"method": m, "rate": rate, **plain(made, method=m, **at)} for m in METHODS]
            result["runs"] = [one for one in result["runs"] if one["rate"] != rate] + runs
            write(TARGET, result)
            print(f"rate {rate:g}, {count} seeds -> {TARGET.relative_to(ROOT)}", flush=True)
        if not result["survey"]:
            rates = evidence.run(survey, {"dataset": list(DATASETS)}, [1], **shared)
            result["survey"] = [{"dataset": name, **plain(rates, dataset=name)} for name in DATASETS]
            write(TARGET, result)


if __name__ == "__main__":
    main()
