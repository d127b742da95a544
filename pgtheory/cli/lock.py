"""One reproduction at a time in one folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgtheory.cli.state import state_folder
from pgtheory.cli.usage import UsageError


@contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Hold the output folder for this process; the system lets go of it however the process ends.

    Raises
    ------
    UsageError
        When another reproduction holds the folder, or the folder cannot be made.
    """
    folder = state_folder(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write to {str(out)!r}: {error.strerror}; choose another folder: --out DIR"
        ) from None
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"another reproduction (process {file.read().strip()}) is writing to {str(out)!r}; "
                "wait for it, or write elsewhere: --out DIR"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
