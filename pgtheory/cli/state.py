"""What a finished notebook left behind, so that a later run can keep it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pgtheory.evidence.atomic import write_atomic


@dataclass(frozen=True)
class Record:
    """A notebook that finished.

    Attributes
    ----------
    fingerprint : str
        What its result depends on; see `pgtheory.cli.fingerprint`.
    seconds : float
        How long it took, wall-clock.
    outputs : mapping of str to str
        SHA-256 of every file that it left, by path relative to the output folder.
    """

    fingerprint: str
    seconds: float
    outputs: Mapping[str, str]


def state_folder(out: Path) -> Path:
    """Where a reproduction keeps what is neither figure nor claim."""
    return out / ".state"


def read_record(out: Path, profile: str, name: str) -> Record | None:
    """Return the record of a notebook, or None when there is none that can be read."""
    try:
        return Record(**json.loads(_path(out, profile, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(out: Path, profile: str, name: str, record: Record) -> None:
    """Store the record of a notebook that finished."""
    path = _path(out, profile, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(asdict(record), indent=1, sort_keys=True) + "\n")


def is_current(out: Path, record: Record, fingerprint: str) -> bool:
    """Tell whether a finished notebook would give what is already there."""
    return record.fingerprint == fingerprint and hash_outputs(out, record.outputs) == record.outputs


def hash_outputs(out: Path, files: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of those of the files that exist, by path relative to the output folder."""
    return {
        file: hashlib.sha256((out / file).read_bytes()).hexdigest()
        for file in sorted(files)
        if (out / file).is_file()
    }


def _path(out: Path, profile: str, name: str) -> Path:
    return state_folder(out) / profile / f"{name}.json"
