"""How far a reproduction is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from pgtheory.cli.schedule import Job, Outcome

# A notebook that takes longer than expected waits here, so that the bar is full only at the end.
MOST_WHILE_RUNNING = 0.97


class Progress(Protocol):
    """What the scheduler tells about a run."""

    def started(self, job: Job) -> None:
        """Learn that a notebook's process is up."""

    def cell(self, job: Job, done: int, of: int) -> None:
        """Learn that a notebook has run ``done`` of its cells."""

    def finished(self, job: Job, outcome: Outcome) -> None:
        """Learn that a notebook ended, well or not."""

    def tick(self) -> None:
        """Show the time that passed."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def show_progress(jobs: Sequence[Job], stream: TextIO | None = None) -> Progress:
    """Return the progress display that suits the stream (the standard error when left out)."""
    stream = stream or sys.stderr
    return Bar(jobs, stream) if stream.isatty() else Lines(jobs, stream)


class Bar:
    """One bar over all notebooks, measured in seconds of expected work."""

    def __init__(self, jobs: Sequence[Job], stream: TextIO) -> None:
        from tqdm import tqdm

        self._cells: dict[Job, str] = {}
        self._since: dict[Job, float] = {}
        self._finished = 0.0
        self._bar = tqdm(
            total=sum(job.expected for job in jobs),
            file=stream,
            smoothing=0,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar}| {elapsed} < {remaining}{postfix}",
            leave=False,
        )

    def started(self, job: Job) -> None:
        self._cells[job] = ""
        self._since[job] = time.monotonic()

    def cell(self, job: Job, done: int, of: int) -> None:
        self._cells[job] = f" {done}/{of}"

    def finished(self, job: Job, outcome: Outcome) -> None:
        del self._cells[job]
        self._finished += job.expected
        if outcome.error:
            self._bar.write(f"✗ {job.name} failed after {outcome.seconds:.0f} s", file=self._bar.fp)

    def tick(self) -> None:
        now = time.monotonic()
        under_way = [min(now - self._since[job], MOST_WHILE_RUNNING * job.expected) for job in self._cells]
        self._bar.set_postfix_str(" · ".join(job.name + at for job, at in self._cells.items()), refresh=False)
        self._bar.update(self._finished + sum(under_way) - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        self._bar.close()


class Lines:
    """A line when a notebook starts and one when it ends."""

    def __init__(self, jobs: Sequence[Job], stream: TextIO) -> None:
        self._stream = stream
        self._left = {job: job.expected for job in jobs}

    def started(self, job: Job) -> None:
        self._say(f"{job.name}: running, about {job.expected:.0f} s")

    def cell(self, job: Job, done: int, of: int) -> None:
        """Say nothing: a line per cell would bury the others."""

    def finished(self, job: Job, outcome: Outcome) -> None:
        del self._left[job]
        how = "FAILED after" if outcome.error else "done in"
        rest = f"; {len(self._left)} to go, {sum(self._left.values()):.0f} s of work" if self._left else ""
        self._say(f"{job.name}: {how} {outcome.seconds:.1f} s{rest}")

    def tick(self) -> None:
        """Say nothing between a start and an end."""

    def close(self) -> None:
        """Leave the lines where they are."""

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)
