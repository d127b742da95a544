"""Write files so that a reader sees the old content or the new, never half of either."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4


def write_atomic(path: str | Path, content: bytes | str) -> Path:
    """Write one file atomically and return its path.

    The content goes to a hidden temporary file in the same folder, is flushed to disk, and then takes
    the file's name in one step. Missing parent folders are created; text is written as UTF-8.

    Raises
    ------
    OSError
        When the folder cannot be created or written (the subclass that fits, such as
        ``PermissionError``), naming the folder and the fix. What stood at ``path`` is untouched.
    """
    return write_together({Path(path): content})[0]


def write_together(files: Mapping[Path, bytes | str]) -> list[Path]:
    """Write several files as :func:`write_atomic` does; none takes its name before all are on disk.

    Raises
    ------
    OSError
        As :func:`write_atomic`; when any file could not be written, no file has been replaced.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            with _explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.is_dir():  # the one way to fail at replacement that can be seen before
                    raise IsADirectoryError(errno.EISDIR, "a folder has that name")
                staged[path] = path.parent / f".{uuid4().hex}.tmp"
                _write_through(staged[path], content)
        for path, temporary in staged.items():
            with _explained(path):
                temporary.replace(path)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
    return list(files)


def _write_through(path: Path, content: bytes | str) -> None:
    # open() rather than tempfile, whose files are private to one user whatever the umask says
    with path.open("xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say which folder could not be written and what to do; OSError picks the subclass from errno."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,
            f"cannot write {path.name!r} in the folder '{path.parent}': {error.strerror or error}; make that "
            "folder writable with space left, or choose another one",
        ) from error
