"""What is inside a checkpoint: tensors and a JSON record as the bytes of one safetensors file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

FORMAT = 1
_LABEL = "pgtheory"


class CheckpointError(ValueError):
    """A file is no checkpoint that can be used here; the message says why and what to do."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is truncated or its bytes have changed since it was written."""


def pack(tensors: Mapping[str, torch.Tensor | np.ndarray], record: Mapping[str, Any]) -> bytes:
    """Content of a checkpoint file.

    Raises
    ------
    TypeError
        When a tensor is not made of numbers that safetensors can hold, or the record is not JSON.
    """
    import safetensors.torch

    stored = {_name(name): _stored(name, value) for name, value in tensors.items()}
    text = _json(record)
    label = {"format": FORMAT, "pgtheory": _version(), "sha256": _digest(stored, text), "record": text}
    try:
        return safetensors.torch.save(stored, metadata={_LABEL: json.dumps(label)})
    except KeyError as error:
        raise TypeError(f"tensors holds a dtype that safetensors has no name for: {error}") from None


def unpack(content: bytes, where: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return tensors and record of a checkpoint's content; ``where`` names it in errors.

    Raises
    ------
    DamagedCheckpointError
        When the content is truncated, not in safetensors format, or not what :func:`pack` returned.
    CheckpointError
        When the tensors come from elsewhere, or the format version is another one.
    """
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(content)
    except Exception as error:  # damaged content fails in several ways, from SafetensorError to MemoryError
        problem = f"{where} is truncated or not a safetensors file ({error}); delete it or use an older one"
        raise DamagedCheckpointError(problem) from error
    label = _label(content, where)
    record = label.get("record", "")
    if label.get("sha256") != _digest(tensors, record):
        raise DamagedCheckpointError(f"{where} is not what was written; delete it or use an older one")
    return tensors, json.loads(record)


def _label(content: bytes, where: str) -> dict[str, Any]:
    """What :func:`pack` put beside the tensors, from a header known to be well formed."""
    size = int.from_bytes(content[:8], "little")
    text = json.loads(content[8 : 8 + size]).get("__metadata__", {}).get(_LABEL)
    if text is None:
        raise CheckpointError(
            f"{where} has no {_LABEL!r} record: these are tensors, but not a checkpoint of ours"
        )
    try:
        label = json.loads(text)
        version, written_by = label["format"], label["pgtheory"]
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedCheckpointError(f"{where} has a record that cannot be read ({error!r})") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{where} has format version {version!r}, this pgtheory reads {FORMAT}: "
            f"use pgtheory {written_by}, which wrote it"
        )
    return label


def _digest(tensors: Mapping[str, torch.Tensor], text: str) -> str:
    """Sum over names, types, shapes and bytes: a changed byte in the middle keeps a file well formed."""
    import torch

    total = hashlib.sha256(text.encode())
    for name, value in sorted(tensors.items()):
        total.update(f"\n{name} {value.dtype} {list(value.shape)}\n".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"tensors must have strings as names, got {name!r}")
    return name


def _stored(name: str, value: Any) -> torch.Tensor:
    """A dense copy on the CPU: safetensors refuses views that share memory."""
    import torch

    if not isinstance(value, torch.Tensor | np.ndarray):
        raise TypeError(f"tensors[{name!r}] must be a tensor or an array, got {type(value).__name__}")
    try:
        return torch.as_tensor(value).detach().to("cpu", copy=True).contiguous()
    except TypeError as error:
        raise TypeError(f"tensors[{name!r}] must hold numbers: {error}") from None


def _json(record: Mapping[str, Any]) -> str:
    if not isinstance(record, Mapping):
        raise TypeError(f"record must be a mapping, got {type(record).__name__}")
    for key, value in record.items():
        try:
            json.dumps({key: value})
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"record[{key!r}] must be JSON: {error}; convert it with int, float or list"
            ) from None
    return json.dumps(dict(record))


def _version() -> str:
    try:
        return metadata.version("pgtheory")
    except metadata.PackageNotFoundError:  # run from its sources
        return "not installed"
