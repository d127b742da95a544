"""A trained policy as one safetensors file, with the record from which its networks are rebuilt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pgtheory.deep import checkpoint
from pgtheory.deep.actor_critic import ActorCritic, Agent, Network
from pgtheory.deep.heads import Categorical, Gaussian, Head

KIND = "agent"


def save_agent(agent: Agent, path: str | Path) -> Path:
    """Write an agent atomically and return the path.

    Raises
    ------
    TypeError
        For a head that is neither Categorical nor Gaussian: a file could not say how to rebuild it.
    OSError
        When the file cannot be written.
    """
    networks, head = agent.networks, agent.networks.head
    if not isinstance(head, Categorical | Gaussian):
        raise TypeError(f"agent must have a Categorical or a Gaussian head to be saved, got {head!r}")
    tensors: dict[str, Any] = {"theta": agent.theta}
    if agent.shift is not None and agent.scale is not None:
        tensors |= {"shift": agent.shift, "scale": agent.scale}
    record = {
        "kind": KIND,
        "n_observations": networks.n_observations,
        "discrete": isinstance(head, Categorical),
        "outputs": head.outputs,
        "hidden": list(networks.network.hidden),
        "activation": networks.network.activation,
        "log_std": networks.network.log_std,
        "median": networks.median,
    }
    return checkpoint.save(path, tensors, record)


def load_agent(path: str | Path) -> Agent:
    """Read an agent that ``save_agent`` wrote; it acts as the saved one did, bit for bit.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    CheckpointError
        When the file is damaged, or holds something else than an agent.
    """
    tensors, record = checkpoint.load(path)
    if record.get("kind") != KIND:
        raise checkpoint.CheckpointError(
            f"'{path}' holds no agent: checkpoints of a run are resumed by train(..., folder=...), "
            "agents are written by agent.save(path)"
        )
    network = Network(tuple(record["hidden"]), record["activation"], record["log_std"])
    outputs = record["outputs"]
    head: Head = Categorical(outputs) if record["discrete"] else Gaussian(outputs, network.log_std)
    networks = ActorCritic(record["n_observations"], head, network, record["median"])
    shapes = {"theta": (networks.dim,)}
    if "shift" in tensors:
        shapes |= dict.fromkeys(("shift", "scale"), (networks.n_observations,))
    checkpoint.expect(tensors, shapes)
    shift, scale = (tensors[name].numpy() if name in tensors else None for name in ("shift", "scale"))
    return Agent(networks, tensors["theta"], shift, scale)
