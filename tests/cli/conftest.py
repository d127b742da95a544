"""A folder with tiny notebooks, built for each test; they run on the standard library alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest

PARAMETERS = """\
profile = "quick"
out = "../figures"
interactive = True
seeds = 3
holds = True
"""
COUNT_RUNS = """\
import json, os, pathlib, time
with open("runs-of-{name}", "a") as file:
    file.write(f"{{os.getpid()}}\\n")
"""
# What a notebook does through pgtheory.evidence, without its imports: so it starts faster.
REPORT = """\
out = pathlib.Path(out)
(out / "reports").mkdir(parents=True, exist_ok=True)
figure = dict(figure="{name}-curve", caption="A <i>curve</i>", rtol=1e-6, atol=0, volatile=[], data=dict(y=[1, seeds]))
picture = "<svg xmlns='http://www.w3.org/2000/svg'/>"
for ending, text in ((".svg", picture), (".png", ""), (".json", json.dumps(figure))):
    (out / ("{name}-curve" + ending)).write_text(text)
setup = json.dumps([interactive, os.environ["OMP_NUM_THREADS"], os.environ["NUMBA_NUM_THREADS"], os.getcwd()])
sure = dict(id="{name}/sure", source="arXiv:2302.01734, Thm. 3", statement="It converges.", measured=0.5,
            interval=[0.4, 0.6], holds=holds, n=seeds, setup=setup, declared=None, notebook="{name}",
            profile=profile, figure="{name}-curve")
lost = sure | dict(id="{name}/lost", statement="It is tight.", holds=False, declared="the constant is not given")
report = dict(notebook="{name}", question="Is {name} true?", profile=profile, papers=["arXiv:2302.01734"],
              figures=[dict(name="{name}-curve", caption=figure["caption"])], claims=[sure, lost])
(out / "reports" / "{name}.json").write_text(json.dumps(report))
"""


@dataclass(frozen=True)
class Workshop:
    """A folder with ``notebooks/`` and ``figures/``, where the command is run."""

    folder: Path

    @property
    def figures(self) -> Path:
        return self.folder / "figures"

    def write(self, name: str, *cells: str, kernel: str = "python3", report: bool = True) -> Path:
        """Write a notebook that notes its start, runs the cells, and reports a figure and two claims."""
        code = nbformat.v4.new_code_cell
        last = [code(REPORT.replace("{name}", name))] if report else []
        notebook = nbformat.v4.new_notebook(
            cells=[
                code(PARAMETERS, metadata={"tags": ["parameters"]}),
                code(COUNT_RUNS.format(name=name)),
                *map(code, cells),
                *last,
            ],
            metadata={
                "kernelspec": {"name": kernel, "display_name": kernel, "language": "python"},
                "pgtheory": {"question": f"Is {name} true?", "papers": [], "seconds": {"quick": 4}},
            },
        )
        path = self.folder / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)
        return path

    def kernels(self, name: str) -> list[int]:
        """Process numbers of the kernels that ran a notebook, the oldest first."""
        noted = self.folder / "notebooks" / f"runs-of-{name}"
        return [int(line) for line in noted.read_text().split()] if noted.exists() else []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "pgtheory.cli", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )

    @staticmethod
    def wait_until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Wait for a condition; fail the test when it does not come true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
            time.sleep(0.05)

    @staticmethod
    def is_running(process: int) -> bool:
        """Whether a process still does anything; one that only waits to be collected does not."""
        try:
            return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def workers(self) -> list[int]:
        """Process numbers of the workers that run notebooks of this folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or ())
            if "pgtheory.cli.worker" in line and str(self.folder) in line and self.is_running(process.pid):
                found.append(process.pid)
        return found


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """An empty workshop, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    return Workshop(tmp_path.resolve())
