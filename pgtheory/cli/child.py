"""A notebook's process, seen from the process that started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SECONDS_TO_END = 10


class Child:
    """A running ``pgtheory.cli.worker``.

    It sits in a session of its own, so a Ctrl-C in the terminal reaches only the process that started it;
    it ends by itself, with its kernel, when that process is gone or calls `end`.

    Parameters
    ----------
    job
        What the worker is told to do, as JSON.
    folder
        Working directory of the notebook.
    log
        File for whatever the worker and its kernel print outside the notebook.
    environment
        Environment variables, complete.
    """

    def __init__(
        self, job: Mapping[str, Any], folder: Path, log: Path, environment: Mapping[str, str]
    ) -> None:
        self._started = time.monotonic()
        self._log = log
        self._unread = b""
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pgtheory.cli.worker", json.dumps(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env=dict(environment),
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._stdout = self._process.stdout

    def fileno(self) -> int:
        """The descriptor to wait on until `messages` has something."""
        return self._stdout.fileno()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the start."""
        return time.monotonic() - self._started

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield what the worker has said since the last call; a worker that died without a word says so."""
        received = os.read(self.fileno(), 65536)
        *lines, self._unread = (self._unread + received).split(b"\n")
        yield from map(json.loads, lines)
        if not received:
            self.end()
            yield {"event": "failed", "error": self._why_it_died()}

    def close(self) -> None:
        """Ask the worker to end; do not wait for it."""
        self._stdin.close()

    def end(self) -> None:
        """End the worker, its kernel and whatever that started; return when the worker is gone."""
        self.close()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()

    def _why_it_died(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-6:]
        return "\n".join([f"its process ended with exit code {self._process.returncode}", *lines])
