"""A process that steps its share of the environments; started by :mod:`pgtheory.deep.workers`.

It reads its job from standard input, then one byte an order, and answers each with one byte on what was its
standard output. What the environments print goes to standard error.
"""

import json
import mmap
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from pgtheory.deep.slab import Layout, Slab
from pgtheory.deep.stepping import BrokenEnvironment, OneByOne, Recipe

RESET, STEP, DONE, BROKEN = b"r", b"s", b".", b"!"
LOOK_FOR_PARENT = 0.5  # seconds


@dataclass(frozen=True)
class Job:
    """Which environments to step, in which memory, for whom."""

    recipe: Recipe
    first: int
    end: int
    layout: Layout
    memory: str
    parent: int


def main() -> None:
    """Serve until the parent closes its end of the pipe, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the parent decides
    answers = os.dup(1)
    os.dup2(2, 1)
    job: Job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_die_with, args=(job.parent,), daemon=True).start()
    try:
        environments = OneByOne(job.recipe, _share(job), job.first)
        actions = {RESET: environments.reset, STEP: environments.step}
        os.write(answers, DONE)
        while order := os.read(0, 1):
            actions[order]()
            os.write(answers, DONE)
        environments.close()
    except BrokenEnvironment as error:
        what = (error.environment, error.index, error.step, f"{error.reason}\n\n{_traceback(error)}")
        with os.fdopen(answers, "wb") as file:
            file.write(BROKEN + json.dumps(what).encode())


def _share(job: Job) -> Slab:
    """This worker's rows of the memory that all share."""
    with Path(job.memory).open("r+b") as file:
        shared = mmap.mmap(file.fileno(), job.layout.nbytes)
    return Slab.over(shared, job.layout).rows(job.first, job.end)


def _traceback(error: BrokenEnvironment) -> str:
    return "".join(traceback.format_exception(error.__cause__ or error))


def _die_with(parent: int) -> None:
    """Exit soon after the parent did, also in the midst of a long step and however the parent ended."""
    while os.getppid() == parent:
        time.sleep(LOOK_FOR_PARENT)
    os._exit(1)
