"""The stored runs of notebook 23: PPO and BPO on MuJoCo tasks, a million steps and five seeds each. Hours; resumable.

    python tools/control_study.py [--jobs 2] [--presets] [--folder build/control-study]

Needs the extra ``mujoco``. Finished cells stay in the folder; when all of an environment's are there, its curves go to
``figures/data/control-mujoco.json`` with the versions and the machine that made them. ``--presets`` adds the published
hyper-parameters for Hopper and Swimmer.
"""

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one run, one core

import gymnasium
import mujoco
import numpy as np
import torch

from pgtheory import evidence

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "figures" / "data" / "control-mujoco.json"
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
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "made_by": "tools/control_study.py",
        "commit": commit.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, two runs at a time",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "gymnasium": gymnasium.__version__,
            "mujoco": mujoco.__version__,
        },
        "steps": np.linspace(0, STEPS, 51)[1:].astype(int).tolist(),
        "runs": {},
    }


def rounded(values: np.ndarray) -> list:
    """Four digits are plenty for a picture; NaN becomes null."""
    return [[None if np.isnan(x) else float(f"{x:.4g}") for x in row] for row in values]


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
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        evidence.write_atomic(TARGET, json.dumps(stored, indent=None, separators=(",", ":")) + "\n")
        print(f"{environment}: {', '.join(methods)} -> {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
