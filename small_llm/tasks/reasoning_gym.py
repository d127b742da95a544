"""Any data set of reasoning-gym (Stojanovski et al., arXiv:2505.24760), by its name."""

from __future__ import annotations

import json
import os
import select
import string
import subprocess
import sys
import time
import weakref
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from small_llm.tasks.task import Problem, Task

INSTRUCTION = "\nGive the final answer between <answer> and </answer>.\n"
SIZE = 20_000  # problems that can be drawn; some data sets make all of them at once, or refuse more
ANSWER_LENGTH = 4096
SCORE_SECONDS, START_SECONDS = 1.0, 120.0
MEMORY = 2 * 1024**3  # bytes that a data set may take

_OPEN, _CLOSE = "<answer>", "</answer>"


class ReasoningGym(Task):
    """Problems of a reasoning-gym data set, scored by its own scorer: in another process, for a second at most.

    The answer is what stands between the last ``<answer>`` and ``</answer>`` (without tags, the whole completion).
    It scores 0 where the scorer fails, takes longer, or is given more than ``ANSWER_LENGTH`` characters. Some data
    sets evaluate answers as code, which never happens here: for these ``scorer`` is "text" and only the data set's
    own answer counts, though others may be right. A few data sets, such as "graph_color", come without an answer that
    their scorer accepts, so that a warm-up on their answers is in vain.

    Parameters
    ----------
    dataset
        A name such as "chain_sum", with the data set's default options.
    seed
        Of the data set; the generator that problems are drawn with picks among its ``SIZE``.

    Raises
    ------
    ImportError
        Without reasoning-gym.
    ValueError
        For a name that it does not know.
    """

    def __init__(self, dataset: str, seed: int = 0) -> None:
        if find_spec("reasoning_gym") is None:
            raise ImportError("task 'reasoning-gym:…' needs reasoning-gym: pip install reasoning-gym")
        self.dataset, self.seed = dataset, seed
        self._process: subprocess.Popen[bytes] | None = None
        self.scorer = self._start()

    @property
    def name(self) -> str:
        return f"reasoning-gym:{self.dataset}" + (f", seed {self.seed}" if self.seed else "")

    @cached_property
    def alphabet(self) -> str:
        """Printable ASCII and what else a sample of problems holds; a data set may have more in store."""
        sample = self._entries(range(64))
        return "".join(sorted(set(string.printable).union(INSTRUCTION, *(q + a for q, a in sample))))

    @cached_property
    def max_new_tokens(self) -> int:
        """Twice the longest answer of a sample of problems, and its tags."""
        return 2 * max(len(answer) for _, answer in self._entries(range(64))) + len(_OPEN + _CLOSE) + 1

    def draw(self, rng: np.random.Generator, n: int) -> list[Problem]:
        indices = rng.integers(SIZE, size=n).tolist()
        return [
            Problem(question + INSTRUCTION, f"{_OPEN}{answer}{_CLOSE}", {"index": i})
            for i, (question, answer) in zip(indices, self._entries(indices))
        ]

    def verify(self, problem: Problem, completion: str) -> float:
        answer = tagged(completion)
        if len(answer) > ANSWER_LENGTH:
            return 0.0
        score = self._ask({"index": problem.data["index"], "completion": answer}, SCORE_SECONDS)
        return 0.0 if score is None else float(score)

    def vote(self, problem: Problem, completion: str) -> str | None:
        answer = " ".join(tagged(completion).split())
        return answer if 0 < len(answer) <= ANSWER_LENGTH else None

    def _entries(self, indices: Any) -> list[list[str]]:
        entries = self._ask({"draw": list(indices)}, START_SECONDS)
        if entries is None:
            raise RuntimeError(
                f"data set {self.dataset!r} did not make its problems in {START_SECONDS:.0f} s"
            )
        return entries

    # -- the process that holds the data set -------------------------------------------------------------------

    def _start(self) -> str:
        """Start the process; returns which scorer the data set has here."""
        command = [sys.executable, "-m", "small_llm.tasks.gym_process"]
        numbers = map(str, (self.seed, SIZE, MEMORY))
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
        self._process = subprocess.Popen(
            [*command, self.dataset, *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},  # sets of strings in one order
        )
        weakref.finalize(self, _end, self._process)
        hello = self._reply(START_SECONDS) or {"error": f"reasoning-gym does not start for {self.dataset!r}"}
        if "error" in hello:
            self._stop()
            raise ValueError(hello["error"])
        return hello["scorer"]

    def _stop(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None

    def _ask(self, request: dict[str, Any], seconds: float) -> Any:
        """The reply, or ``None`` after so many seconds or where the process died; then a new one comes next time."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._stop()
            return None
        reply = self._reply(seconds)
        if reply is None:
            self._stop()
        return reply

    def _reply(self, seconds: float) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor, received, end = self._process.stdout.fileno(), b"", time.monotonic() + seconds
        while not received.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(descriptor, 1 << 16) if ready else b""
            if not chunk:
                return None
            received += chunk
        return json.loads(received)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def tagged(completion: str) -> str:
    """What stands between the last pair of answer tags; the whole text where there is no pair."""
    end = completion.rfind(_CLOSE)
    start = completion.rfind(_OPEN, 0, max(end, 0))
    return (completion if start < 0 else completion[start + len(_OPEN) : end]).strip()
