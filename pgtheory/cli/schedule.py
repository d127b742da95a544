"""Several notebooks at once, each in its own process, the longest first."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgtheory.cli.child import Child
from pgtheory.cli.notebooks import Notebook
from pgtheory.cli.progress import Progress
from pgtheory.cli.state import state_folder

SECONDS_BETWEEN_TICKS = 0.5
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


@dataclass(frozen=True, eq=False)
class Job:
    """A notebook to run.

    Attributes
    ----------
    notebook : Notebook
        What to run.
    parameters : mapping of str to Any
        What is injected, the output folder included.
    out : pathlib.Path
        Output folder, absolute.
    fingerprint : str
        What the result depends on; see `pgtheory.cli.fingerprint`.
    expected : float
        Seconds that it will probably take.
    """

    notebook: Notebook
    parameters: Mapping[str, Any]
    out: Path
    fingerprint: str
    expected: float

    @property
    def name(self) -> str:
        """The notebook's name."""
        return self.notebook.name

    @property
    def scratch(self) -> Path:
        """Folder for files that are not finished."""
        return state_folder(self.out) / "tmp"

    @property
    def failed_copy(self) -> Path:
        """Where the partly executed notebook is kept when it raises."""
        return state_folder(self.out) / "failed" / f"{self.name}.ipynb"

    def for_worker(self) -> dict[str, Any]:
        """Return what the worker needs to know, as JSON values."""
        file = f"{self.name}.ipynb"
        return {
            "notebook": str(self.notebook.path),
            "kernel": self.notebook.kernel,
            "parameters": dict(self.parameters),
            "unfinished": str(self.scratch / file),
            "executed": str(self.out / "notebooks" / file),
            "failed": str(self.failed_copy),
        }


@dataclass(frozen=True)
class Outcome:
    """How a notebook ended: after how many seconds, and with which error (empty: none)."""

    seconds: float
    error: str = ""


def run_jobs(
    jobs: Sequence[Job],
    at_once: int,
    cores: int,
    progress: Progress,
    ended: Callable[[Job, Outcome], Outcome],
) -> None:
    """Run every job and call ``ended`` as soon as its process is gone.

    However this call ends, also by Ctrl-C, no process that it started is left.

    Parameters
    ----------
    jobs
        What to run.
    at_once
        How many notebooks run together.
    cores
        Processor cores to share; each notebook computes with ``cores // at_once`` threads.
    progress
        Told about every start, cell and end.
    ended
        Called with a job and how its process ended; returns how the notebook ended, all things considered.
    """
    waiting = sorted(jobs, key=lambda job: job.expected, reverse=True)
    threads = max(1, cores // at_once)
    running: dict[Job, Child] = {}
    with selectors.DefaultSelector() as selector, _ending(running):
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop(0)
                running[job] = _start(job, threads)
                selector.register(running[job], selectors.EVENT_READ, job)
                progress.started(job)
            for key, _ in selector.select(SECONDS_BETWEEN_TICKS):
                job = key.data
                outcome = _listen(job, running[job], progress)
                if outcome is not None:
                    selector.unregister(running[job])
                    running.pop(job).end()
                    progress.finished(job, ended(job, outcome))
            progress.tick()


def _listen(job: Job, child: Child, progress: Progress) -> Outcome | None:
    """Pass on what the child said; return how it ended once it has."""
    for message in child.messages():
        if message["event"] == "cell":
            progress.cell(job, message["done"], message["of"])
        else:
            return Outcome(child.seconds, message.get("error", ""))
    return None


def _start(job: Job, threads: int) -> Child:
    job.scratch.mkdir(parents=True, exist_ok=True)
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    # The reader's own IPython start-up files must not reach into the notebook.
    environment["IPYTHONDIR"] = str(job.scratch / f"{job.name}.ipython")
    return Child(job.for_worker(), job.notebook.path.parent, job.scratch / f"{job.name}.log", environment)


@contextmanager
def _ending(running: Mapping[Job, Child]) -> Iterator[None]:
    """End the children that still run when the block is left; a second Ctrl-C does not stop that."""
    try:
        yield
    finally:
        if running:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            for child in running.values():
                child.close()
            for child in running.values():
                child.end()
            signal.signal(signal.SIGINT, before)
