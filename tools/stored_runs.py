"""What studies leave for notebooks: numbers beside what made them, in a file that is whole at every moment."""

import datetime
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pgtheory import evidence

ROOT = Path(__file__).parents[1]
DATA = ROOT / "figures" / "data"
ONE_CORE = f"CPU, {platform.machine()}, one core a run, in float32"


def origin(study: str, machine: str, *packages: str) -> dict:
    """What made the numbers: study (its ``__file__``), commit, date, machine, versions of Python and packages."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "made_by": f"tools/{Path(study).name}",
        "commit": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
        "machine": machine,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
    }


def rounded(values: np.ndarray) -> list:
    """Four digits are plenty for a picture; NaN becomes null."""
    if values.ndim > 1:
        return [rounded(row) for row in values]
    return [None if np.isnan(x) else float(f"{x:.4g}") for x in values.astype(float)]


def write(file: Path, result: dict) -> None:
    """Write a study's results as JSON."""
    evidence.write_atomic(file, json.dumps(result, separators=(",", ":")) + "\n")
