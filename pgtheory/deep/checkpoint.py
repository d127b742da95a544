"""Checkpoints: tensors and a JSON record in one safetensors file, old or new at every moment, never half of either."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from pgtheory.deep.checkpoint_format import CheckpointError, DamagedCheckpointError, pack, unpack
from pgtheory.mdp import validate

if TYPE_CHECKING:
    import torch

__all__ = [
    "CheckpointError",
    "DamagedCheckpointError",
    "expect",
    "expect_run",
    "keep",
    "latest",
    "load",
    "replacing",
    "save",
]

_NAME = re.compile(r"step-(\d{9,})\.safetensors")


# -- one file -------------------------------------------------------------------------------------------------


def save(
    path: str | Path, tensors: Mapping[str, torch.Tensor | np.ndarray], record: Mapping[str, Any]
) -> Path:
    """Write a checkpoint atomically and return its path.

    Parameters
    ----------
    path
        The file; missing folders above it are created. A file of that name stays as it was until the new
        one is complete on disk, whatever interrupts the writing.
    tensors
        Name → tensor or array of numbers, of any shape and device; views of one storage are fine.
    record
        What JSON can hold: strings, whole numbers of any size, floats (kept exactly, NaN included), booleans,
        None, lists, and mappings with strings as keys. Tuples come back as lists.

    Raises
    ------
    TypeError
        When a tensor is not made of numbers that safetensors can hold, or the record is not JSON.
    OSError
        When the file cannot be written.
    """
    content = pack(tensors, record)
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def load(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read a checkpoint: its tensors (on the CPU, owned by the caller) and its record.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DamagedCheckpointError
        When the file is truncated, no safetensors file at all, or not what was written.
    CheckpointError
        When it is a safetensors file from elsewhere, or a checkpoint in another format version.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no checkpoint '{path}'") from None
    return unpack(content, f"'{path}'")


def expect(tensors: Mapping[str, torch.Tensor | np.ndarray], shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse a checkpoint of another shape; tensors that ``shapes`` does not name are not looked at.

    Raises
    ------
    CheckpointError
        Naming every tensor that is missing or has another shape, its shape, and the expected one.
    """
    wrong = []
    for name, shape in shapes.items():
        if name not in tensors:
            wrong.append(f"{name!r} with shape {list(shape)} is missing (there are {sorted(tensors)})")
        elif tuple(tensors[name].shape) != tuple(shape):
            wrong.append(f"{name!r} has shape {list(tensors[name].shape)}, expected {list(shape)}")
    if wrong:
        hint = "it was written for another network or environment: build that one, or use another checkpoint"
        raise CheckpointError(f"the checkpoint does not fit: {'; '.join(wrong)}; {hint}")


def expect_run(path: str | Path, record: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run: one whose record differs in a field of ``identity``.

    Raises
    ------
    CheckpointError
        Naming the first field that differs, and both values.
    """
    for key, value in identity.items():
        if record.get(key) != value:
            raise CheckpointError(
                f"'{path}' belongs to another run: its {key} is {record.get(key)!r}, this one's {value!r}; "
                "choose another folder, or make the same call"
            )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix; what was written there takes ``path``'s name at the end.

    When the block raises, the temporary file goes and whatever stood at ``path`` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# -- a folder of them -----------------------------------------------------------------------------------------


def keep(
    folder: str | Path,
    step: int,
    tensors: Mapping[str, torch.Tensor | np.ndarray],
    record: Mapping[str, Any],
    *,
    last: int = 3,
) -> Path:
    """Save ``step-000012345.safetensors`` and delete the files behind the ``last`` newest good ones.

    A damaged file does not count as one of those kept.

    Raises
    ------
    CheckpointError
        When the folder holds a good checkpoint of a later step, which belongs to another run or to a future
        that this run has left; nothing is written or deleted then.
    """
    step, last = validate.positive_integer("step", step, 0), validate.positive_integer("last", last)
    for path in _newest_first(folder):
        if _step(path) > step and _is_good(path):
            raise CheckpointError(
                f"'{path}' is later than step {step}: resume from it, delete it, or choose another folder"
            )
    saved = save(Path(folder) / f"step-{step:09d}.safetensors", tensors, record)
    good = 0
    for path in _newest_first(folder):
        if good == last:
            path.unlink()
        elif path == saved or _is_good(path):
            good += 1
    return saved


def latest(folder: str | Path) -> Path | None:
    """Return the newest checkpoint in a folder that can be loaded; None when there is none.

    Damaged files are passed over with a warning.

    Raises
    ------
    CheckpointError
        When the newest undamaged file is not a checkpoint of this format: falling back from it would
        silently lose work.
    """
    for path in _newest_first(folder):
        try:
            load(path)
        except DamagedCheckpointError as error:
            warnings.warn(f"{error}; falling back to the one before", stacklevel=2)
        else:
            return path
    return None


def _newest_first(folder: str | Path) -> list[Path]:
    found = [path for path in Path(folder).glob("step-*.safetensors") if _NAME.fullmatch(path.name)]
    return sorted(found, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _is_good(path: Path) -> bool:
    try:
        load(path)
    except CheckpointError:
        return False
    return True
