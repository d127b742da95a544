"""States of random generators as JSON and tensors, and back to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory.mdp import validate

if TYPE_CHECKING:
    import torch

BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def numpy_state(generator: np.random.Generator) -> dict[str, Any]:
    """State of a NumPy generator as JSON: strings, whole numbers of any size, and lists of them.

    Raises
    ------
    TypeError
        When it is not a ``numpy.random.Generator`` on one of NumPy's own bit generators.
    """
    validate.instance_of("generator", generator, np.random.Generator)
    bits = generator.bit_generator
    family = bits.seed_seq
    if type(bits).__name__ not in BIT_GENERATORS or not isinstance(family, np.random.SeedSequence):
        raise TypeError(f"generator must run on one of {', '.join(BIT_GENERATORS)}, got {bits!r}")
    return {
        "state": _plain(bits.state),
        "entropy": _plain(family.entropy),
        "spawn_key": _plain(family.spawn_key),
        "pool_size": family.pool_size,
        "n_children_spawned": family.n_children_spawned,
    }


def numpy_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator that goes on where the one of :func:`numpy_state` was: the same draws, the same children.

    Raises
    ------
    ValueError
        When the state is not one that :func:`numpy_state` returned.
    """
    try:
        family = np.random.SeedSequence(
            state["entropy"],
            spawn_key=tuple(state["spawn_key"]),
            pool_size=state["pool_size"],
            n_children_spawned=state["n_children_spawned"],
        )
        name = state["state"]["bit_generator"]
        if name not in BIT_GENERATORS:  # a name from a file must not choose just any attribute
            raise ValueError(f"there is no bit generator {name!r}")
        bits = getattr(np.random, name)(family)
        bits.state = state["state"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"state must come from numpy_state, got {state!r} ({error!r})") from error
    return np.random.Generator(bits)


def torch_state(generator: torch.Generator) -> torch.Tensor:
    """State of a PyTorch generator: bytes on the CPU, a tensor that a checkpoint can hold."""
    import torch

    validate.instance_of("generator", generator, torch.Generator)
    return generator.get_state()


def torch_generator(state: torch.Tensor, device: str = "cpu") -> torch.Generator:
    """Return a generator that goes on where the one of :func:`torch_state` was, on the same kind of device.

    Raises
    ------
    ValueError
        When the state is not one that :func:`torch_state` returned, or comes from another kind of device.
    """
    import torch

    generator = torch.Generator(device)
    try:
        generator.set_state(state)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"state must come from torch_state of a generator on {device}: {error}") from error
    return generator


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
