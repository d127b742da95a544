"""The stored runs of notebook 23: PPO and BPO on MuJoCo tasks, a million steps and five seeds each. Hours; resumable.

    python tools/control_study.py [--jobs 2] [--presets] [--folder build/control-study]

Needs the extra ``mujoco``. Finished cells stay in the folder; when all of an environment's are there, its curves go to
``figures/data/control-mujoco.json`` with the versions and the machine that made them. ``--presets`` adds the published
hyper-parameters for Hopper and Swimmer.
"""

import argparse
import os
import platform
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import numpy as np
from stored_runs import DATA, ROOT, origin, rounded, write

from pgtheory import evidence

TARGET = DATA / "control-mujoco.json"
STEPS, SEEDS = 1_000_000, 5
CASES = {name: ["ppo", "bpo"] for name in ("Hopper-v4", "Swimmer-v4", "HalfCheetah-v4")}
PRESETS = {
    name: [f"ppo/{name[:-3].lower()}", f"bpo/{name[:-3].lower()}"] for name in ("Swimmer-v4", "Hopper-v4")
}


def cell(rng, environment, method):
    """One learning curve."""
    import warnings

    warnings.filterwarnings("ignore", category=DeprecationWarning)  # v4 is what the paper used
    from pgtheory.deep.study import curve

    return curve(environment, method, int(rng.integers(2**31)), STEPS)


def record() -> dict:
    """What made the numbers."""
    return {
        **origin(
            __file__,
            f"{os.cpu_count()} cores, {platform.machine()}, two runs at a time",
            *("torch", "gymnasium", "mujoco"),
        ),
        "steps": np.linspace(0, STEPS, 51)[1:].astype(int).tolist(),
        "runs": {},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--presets", action="store_true")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "control-study")
    options = parser.parse_args()
    stored = record()
    cases = [(name, methods) for name, methods in CASES.items()]
    cases += list(PRESETS.items()) if options.presets else []
    for environment, methods in cases:
        folder = options.folder / f"{environment}{'-preset' if '/' in methods[0] else ''}"
        conditions = {"environment": [environment], "method": methods}
        data = evidence.run(cell, conditions, SEEDS, folder=folder, jobs=options.jobs, version="1")
        for method in methods:
            curves = data.sel({"environment": environment, "method": method})
            stored["runs"].setdefault(environment, {})[method] = {
                name: rounded(curves[name].transpose("seed", ...).values) for name in data.data_vars
            }
        write(TARGET, stored)
        print(f"{environment}: {', '.join(methods)} -> {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
