"""How far a reproduction is, on a terminal and in a log."""

import io

from pgtheory.cli.notebooks import read_notebook
from pgtheory.cli.progress import Bar, show_progress
from pgtheory.cli.schedule import Job, Outcome


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _jobs(workshop):
    paths = [workshop.write("1-one"), workshop.write("2-two")]
    return [
        Job(read_notebook(path), {}, workshop.figures, "mark", seconds)
        for path, seconds in zip(paths, (10, 30))
    ]


def test_a_log_has_a_line_at_each_start_and_end(workshop):
    stream = io.StringIO()
    one, two = _jobs(workshop)
    progress = show_progress([one, two], stream)
    progress.started(two)
    progress.cell(two, 1, 3)
    progress.tick()
    progress.finished(two, Outcome(31.0))
    progress.started(one)
    progress.finished(one, Outcome(2.0, "it raised"))
    progress.close()
    assert stream.getvalue().splitlines() == [
        "2-two: running, about 30 s",
        "2-two: done in 31.0 s; 1 to go, 10 s of work",
        "1-one: running, about 10 s",
        "1-one: FAILED after 2.0 s",
    ]


def test_a_bar_counts_expected_seconds_and_names_what_runs(workshop):
    stream = _Terminal()
    one, two = _jobs(workshop)
    progress = show_progress([one, two], stream)
    assert isinstance(progress, Bar)
    progress.started(one)
    progress.started(two)
    progress.cell(two, 1, 3)
    progress.finished(one, Outcome(1.0, "it raised"))
    progress.tick()
    progress.close()
    assert "25%" in stream.getvalue()  # 10 of 40 seconds, however long it took
    assert "2-two 1/3" in stream.getvalue()
    assert "✗ 1-one failed after 1 s" in stream.getvalue()
