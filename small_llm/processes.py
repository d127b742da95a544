"""Several processes that train one model, as torchrun starts them: who they are, and how they stay together.

In a program of one process every function here does what its name says for that one, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")
PATIENCE = timedelta(hours=4)
"""How long processes wait for one another: the first may warm a model up meanwhile."""


class Stopped(RuntimeError):
    """Another process had to stop; the message says which, and why."""


@contextmanager
def together(device: str) -> Iterator[None]:
    """Join the processes that torchrun or accelerate started with this one, unless the caller has done so."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # which "cuda" then means
    dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    """Processes in all."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(values: torch.Tensor) -> torch.Tensor:
    """This process's part of rows that all have; their number is a multiple of the processes'."""
    return values.chunk(count())[rank()]


def gathered(values: torch.Tensor) -> torch.Tensor:
    """What :func:`share` divided: rows of all processes, of one shape, in their order. No gradient passes."""
    if count() == 1:
        return values
    found = [torch.empty_like(values) for _ in range(count())]
    dist.all_gather(found, values.detach().contiguous())
    return torch.cat(found)


def everyones(work: Callable[[], T]) -> list[T]:
    """What ``work`` returns in every process, in their order.

    Raises
    ------
    Stopped
        In the processes whose own work went well while another's did not: nobody waits for what will not come.
    """
    if count() == 1:
        return [work()]
    value, error = _attempt(work)
    outcomes: list[Any] = [None] * count()
    dist.all_gather_object(outcomes, (value, error and _named(error)))
    _stop(error, [why for _, why in outcomes])
    return [value for value, _ in outcomes]


def by_first(work: Callable[[], T]) -> T:
    """What ``work`` returns in the first process, which alone does it, for all.

    Raises
    ------
    Stopped
        In the others, when it fails.
    """
    if count() == 1:
        return work()
    value, error = _attempt(work) if rank() == 0 else (None, None)
    outcome: list[Any] = [(value, error and _named(error))]
    dist.broadcast_object_list(outcome, src=0)
    _stop(error, [outcome[0][1]])
    return outcome[0][0]


def copy_first(tensors: Sequence[torch.Tensor]) -> None:
    """Write the first process's values into everyone's tensors."""
    if count() > 1:
        with torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


def _attempt(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # whatever it is, the others must hear of it
        return None, error


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _stop(own: Exception | None, errors: Sequence[str | None]) -> None:
    if own is not None:
        raise own
    for i, why in enumerate(errors):
        if why is not None:
            raise Stopped(f"process {i} stopped: {why}")
