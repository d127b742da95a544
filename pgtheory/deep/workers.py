"""Environments stepped by worker processes that share one block of memory.

A step costs each worker one byte on a pipe and one back, blocking. On a busy machine that is as fast as
spinning first and leaves the core to others, and the end of a process closes its pipes, so that nobody waits for
the dead. Workers are fresh interpreters rather than forks, which threads in the parent would make unsafe, and,
unlike multiprocessing's, do not run the caller's script again.
"""

import contextlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import weakref
from itertools import pairwise
from pathlib import Path
from typing import IO

import cloudpickle

from pgtheory.deep.slab import Layout, Slab
from pgtheory.deep.stepping import BrokenEnvironment, Recipe
from pgtheory.deep.worker import BROKEN, DONE, RESET, STEP, Job

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SHARED_MEMORY = Path("/dev/shm")
PATIENCE = 5.0  # seconds for a worker to close its environments


class Workers:
    """Environments shared out to ``count`` processes; which one steps an environment changes nothing."""

    def __init__(self, recipe: Recipe, layout: Layout, count: int) -> None:
        self._recipe = recipe
        cuts = [layout.n * k // count for k in range(count + 1)]
        self._firsts = cuts[:-1]
        self._processes: list[subprocess.Popen] = []
        weakref.finalize(self, _end, self._processes)  # for callers that forget to close
        where = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="pgtheory-", dir=where) as folder:
            memory = Path(folder) / "slab"
            memory.write_bytes(bytes(layout.nbytes))
            with memory.open("r+b") as file:
                self.slab = Slab.over(mmap.mmap(file.fileno(), layout.nbytes), layout)
            try:
                for lo, hi in pairwise(cuts):
                    job = Job(recipe, lo, hi, layout, str(memory), os.getpid())
                    self._processes.append(_start(cloudpickle.dumps(job)))
                self._orders = [_pipe(worker.stdin).fileno() for worker in self._processes]
                self._answers = [_pipe(worker.stdout).fileno() for worker in self._processes]
                self._steps = 0
                self._await()
            except BaseException:
                self._kill()
                raise

    def reset(self) -> None:
        """Start an episode in every environment, from the slab's seeds."""
        self._exchange(RESET)

    def step(self) -> None:
        """Take the slab's actions and write what comes of them."""
        self._steps += 1
        self._exchange(STEP)

    def close(self) -> None:
        """Let the workers close their environments and end; kill those that do not."""
        _end(self._processes)

    def _exchange(self, order: bytes) -> None:
        try:
            for orders in self._orders:
                with contextlib.suppress(BrokenPipeError):  # the worker is gone: its silence will be noticed
                    os.write(orders, order)
            self._await()
        except BaseException:  # also Ctrl-C: answers would be taken for those to later orders
            self._kill()
            raise

    def _await(self) -> None:
        for k, answers in enumerate(self._answers):
            answer = os.read(answers, 1)
            if answer == DONE:
                continue
            if answer == BROKEN:
                raise BrokenEnvironment(*json.loads(_pipe(self._processes[k].stdout).read()))
            code = self._processes[k].wait()
            raise BrokenEnvironment(
                self._recipe.name,
                self._firsts[k],
                self._steps,
                f"the worker process that steps it and those after it ended with exit code {code}"
                + (" (killed by a signal, perhaps for want of memory)" if code < 0 else ""),
            )

    def _kill(self) -> None:
        for worker in self._processes:
            worker.kill()
        _end(self._processes)


def _start(job: bytes) -> subprocess.Popen:
    """A worker with its job; it finds what this process can import."""
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    environment = dict.fromkeys(ONE_THREAD, "1") | os.environ | {"PYTHONPATH": paths}
    command = [sys.executable, "-c", "from pgtheory.deep.worker import main; main()"]
    worker = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
    )
    with contextlib.suppress(BrokenPipeError):  # as above
        _pipe(worker.stdin).write(job)
    return worker


def _end(workers: list[subprocess.Popen]) -> None:
    """Let workers close their environments and end, kill those that do not; again does nothing."""
    for worker in workers:
        _pipe(worker.stdin).close()
    for worker in workers:
        try:
            worker.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        _pipe(worker.stdout).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
