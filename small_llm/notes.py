"""What a long measurement has found so far, in a file that is whole at every moment."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgtheory.evidence.atomic import write_atomic
from small_llm.flops import known

PATIENCE = 5.0  # seconds between writes that nobody insists on


class Notes:
    """A JSON record with the machine that made it; what is put into it is soon on disk.

    Parameters
    ----------
    path : Path
    record : dict
        What it begins with.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path, self.record = path, record
        self.began = time.perf_counter()
        self._written = -PATIENCE
        self.write()

    def put(self, name: str, value: Any, *, now: bool = True) -> None:
        """Keep a value under a name such as "speed/decoding"; ``now`` also when something was written just before."""
        *folders, last = name.split("/")
        place = self.record
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
        if now or time.perf_counter() - self.began > self._written + PATIENCE:
            self.write()

    def write(self) -> None:
        """Bring the file up to date."""
        self._written = time.perf_counter() - self.began
        self.record["seconds"] = round(self._written, 1)
        write_atomic(self.path, json.dumps(brief(self.record), indent=1) + "\n")

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Do one part of the work: where it fails, the reason is kept under "failed", and the others go on."""
        try:
            yield
        except Exception as error:  # whatever it is, hours of a GPU must not be lost with it
            print(f"small_llm: {name} failed: {type(error).__name__}: {error}", file=sys.stderr)
            self.put(f"failed/{name}", f"{type(error).__name__}: {error}"[:500])


def origin(device: torch.device, commit: str | None) -> dict[str, Any]:
    """Where numbers come from: date, commit, machine and versions."""
    peak = known(device)
    cuda = device.type == "cuda"
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit or _commit(),
        "machine": {
            "device": torch.cuda.get_device_name(device) if cuda else f"CPU, {platform.machine()}",
            "kind": device.type,
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
            "peak": None if peak is None else asdict(peak),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda if cuda else None,
            **{name: version(name) for name in ("transformers", "numpy")},
        },
    }


def brief(value: Any) -> Any:
    """The same for JSON: six digits are plenty, and what is not finite is null."""
    if isinstance(value, Mapping):
        return {key: brief(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [brief(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def _commit() -> str | None:
    """Of the working tree that this file lies in, with a + where it differs; None outside one."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
