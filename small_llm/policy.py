"""The model as PyTorch's engines for many processes know it: DDP, and FSDP, which divides its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from small_llm import processes

T = TypeVar("T")


class Policy(torch.nn.Module):
    """Hands its model to a function, inside what the engines take for a forward pass.

    They prepare weights and gradients around ``forward`` only, and log-probabilities come from parts of a model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """``function(model, ...)``"""
        return function(self.model, *arguments, **options)


def spread(model: Any, *, sharded: bool, learns: bool = True) -> torch.nn.Module:
    """A policy whose gradients are the mean of those of all processes; alone, a :class:`Policy`.

    Parameters
    ----------
    model
        With the same weights in every process.
    sharded : bool
        Divide the weights, layer by layer; the model's parameters are then distributed tensors.
    learns : bool
        A policy that does not has no gradients to average.
    """
    policy = Policy(model)
    if processes.count() == 1:
        return policy
    if not sharded:
        return DistributedDataParallel(policy) if learns else policy
    mesh = torch.distributed.init_device_mesh(model.device.type, (processes.count(),))
    options: dict[str, Any] = {"mesh": mesh, "mp_policy": MixedPrecisionPolicy(reduce_dtype=torch.float32)}
    for module in list(model.modules()):
        if type(module).__name__ in model._no_split_modules:
            fully_shard(module, **options)
    fully_shard(policy, reshard_after_forward=True, **options)
    return policy


@torch.no_grad()
def at_once(policy: torch.nn.Module, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """``function(model, ...)`` that reads the model many times: divided weights are brought together once."""
    if not isinstance(policy, FSDPModule):
        alone = policy.module if isinstance(policy, DistributedDataParallel) else policy
        return alone(function, *arguments, **options)
    policy.set_reshard_after_forward(False)
    try:
        return policy(function, *arguments, **options)
    finally:
        for module in policy.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        policy.set_reshard_after_forward(True)


def divided(model: torch.nn.Module) -> bool:
    """Whether FSDP holds its weights, which then lie elsewhere in memory each time they are brought together."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


@contextmanager
def unsynchronised(policy: torch.nn.Module, yes: bool) -> Iterator[None]:
    """Where ``yes``, let gradients gather in each process until a backward pass outside."""
    if yes and isinstance(policy, DistributedDataParallel):
        with policy.no_sync():
            yield
    else:
        yield
