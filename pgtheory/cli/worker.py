"""One notebook, run in a process of its own: ``python -m pgtheory.cli.worker JOB``.

JOB is a JSON object (see `pgtheory.cli.schedule.Job`). Every finished cell, and the end, is one line of
JSON on the standard output. The standard input carries nothing: when it ends, the process that asked for the
notebook is gone, and this one ends too, with its kernel and whatever the kernel started.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

LINES_OF_ERROR = 6
STARTS = 3
NOT_STARTED = "Kernel died before replying to kernel_info"


def main() -> int:
    """Run the notebook named in the first argument; return 0 when it finished, 1 when it raised."""
    Thread(target=_end_with_parent, daemon=True).start()
    job = json.loads(sys.argv[1])
    say = _take_over_stdout()
    unfinished = Path(job["unfinished"])
    try:
        _execute(job, unfinished, say)
        page = _render(unfinished)
    except Exception as error:
        if unfinished.exists():
            _move(unfinished, Path(job["failed"]))
        say(event="failed", error=_last_lines(error))
        return 1
    _move(page, Path(job["executed"]).with_suffix(".html"))
    _move(unfinished, Path(job["executed"]))
    say(event="finished")
    return 0


def _end_with_parent() -> None:
    """Wait for the end of the standard input, then end every process below this one, and this one."""
    import psutil

    while os.read(0, 4096):
        pass
    this = psutil.Process()
    while below := this.children(recursive=True):
        for process in below:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(below, timeout=1)
    os._exit(1)


def _take_over_stdout() -> Callable[..., None]:
    """Keep the standard output for messages; what a notebook prints past its kernel goes to the log."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**message: Any) -> None:
        print(json.dumps(message), file=stream, flush=True)

    return say


def _execute(job: dict[str, Any], unfinished: Path, say: Callable[..., None]) -> None:
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    class CellByCell(NBClientEngine):
        """Papermill's own engine, saying when a cell is done."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            complete = nb_man.cell_complete

            def cell_complete(cell: Any, cell_index: int, **rest: Any) -> None:
                complete(cell, cell_index=cell_index, **rest)
                say(event="cell", done=cell_index + 1, of=len(nb_man.nb.cells))

            nb_man.cell_complete = cell_complete
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("cell-by-cell", CellByCell)
    for attempts_left in range(STARTS - 1, -1, -1):
        try:
            papermill.execute_notebook(
                job["notebook"],
                str(unfinished),
                parameters=job["parameters"],
                engine_name="cell-by-cell",
                kernel_name=job["kernel"],
                language="python",
                progress_bar=False,
            )
            return
        except RuntimeError as error:
            # Two kernels that start together can pick the same port: nothing has run yet, so try again.
            if NOT_STARTED not in str(error) or not attempts_left:
                raise


def _render(executed: Path) -> Path:
    """Write the HTML page of an executed notebook beside it and return where."""
    from nbconvert import HTMLExporter

    page = executed.with_suffix(".html")
    text, _ = HTMLExporter().from_filename(str(executed))
    page.write_text(text, encoding="utf-8")
    return page


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _last_lines(error: Exception) -> str:
    from papermill.exceptions import PapermillExecutionError, strip_color

    if isinstance(error, PapermillExecutionError):
        text = "\n".join(error.traceback) or f"{error.ename}: {error.evalue}"
        lines = [line for line in strip_color(text).splitlines() if line.strip()]
        return "\n".join([f"in cell [{error.exec_count}]:", *lines[-LINES_OF_ERROR:]])
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    raise SystemExit(main())
